import { setTimeout as delay } from 'node:timers/promises'
import type { JetStreamManager } from '@nats-io/jetstream'
import type { Log } from './metrics.ts'
import type { Owned } from './owner.ts'
import { type Partition, partitionsOf } from './partitions.ts'
import { isStreamNotFound } from './streams.ts'

type Options = {
  manager(): Promise<JetStreamManager>
  stream: string
  /** What is done with it, in logs. */
  work: string
  log: Log
  /** Work in one partition; `repartitioned` is called when it finds that the stream has others. */
  start(partition: Partition, repartitioned: () => void): Owned
}

/** How often a stream that is not there is looked for: soon at first, since services start together. */
const SOON_MS = 50
const LATER_MS = 500

/**
 * Works in as many roles as a stream has partitions. How many that is the stream says, so it is waited for; one that is made anew with others
 * is worked on in those.
 */
export function runByPartition(options: Options): Owned {
  const { log, stream, work } = options
  const stopping = new AbortController()
  let parts: readonly Owned[] | undefined

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const another = new AbortController()
      try {
        const partitions = await partitionsWhenThere(await options.manager(), options, stopping.signal)
        parts = partitions.map((partition) => options.start(partition, () => another.abort()))
        await aborted(AbortSignal.any([another.signal, stopping.signal]))
      } catch (error) {
        if (stopping.signal.aborted) break
        log.warn({ err: error, work, stream }, 'failed to look for the partitions of a stream, retrying')
        await delay(LATER_MS, undefined, { signal: stopping.signal }).catch(() => 'stopping')
      } finally {
        await Promise.all((parts ?? []).map((part) => part.stop()))
        parts = undefined
      }
    }
  }
  const done = run()

  return {
    attached: () => parts?.every((part) => part.attached()) ?? false,
    owner: () => parts?.every((part) => part.owner()) ?? false,
    async stop() {
      stopping.abort(new Error('stopping'))
      await done
    }
  }
}

/** Another service may start later than this one: its stream is waited for. */
async function partitionsWhenThere(
  jsm: JetStreamManager,
  { stream, work, log }: Options,
  signal: AbortSignal
): Promise<readonly Partition[]> {
  for (let waited = 0; ; waited++) {
    signal.throwIfAborted()
    try {
      return partitionsOf((await jsm.streams.info(stream)).config)
    } catch (error) {
      if (!isStreamNotFound(error)) throw error
      if (waited === 40) log.warn({ stream, work }, 'the stream does not exist yet')
      await delay(waited < 40 ? SOON_MS : LATER_MS, undefined, { signal })
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
