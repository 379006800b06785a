import { setTimeout as delay } from 'node:timers/promises'
import { Kvm } from '@nats-io/kv'
import { ensureBuckets } from './buckets.ts'
import { watchBucket } from './kv-watch.ts'
import type { Logger } from './log.ts'
import { jetstreamOf, type NatsConnection, onReconnect } from './nats.ts'

const NAME = /^[a-z]+$/
const RETRY_MS = 1_000

/**
 * Declares that a service takes part in erasures and exports: from then on they wait for it, also while it does not run. The declaration is
 * kept on disk by NATS until it is taken back (`withdrawParticipant`); it is made again at each start and reconnect, since NATS may have lost
 * it. Resolves when it is made. See docs/sagas.md.
 */
export async function declareParticipant(
  nc: NatsConnection,
  service: string,
  options: { log?: Pick<Logger, 'warn'> } = {}
): Promise<{ close(): Promise<void> }> {
  if (!NAME.test(service)) throw new RangeError(`not the name of a service: ${service}`)
  const stopping = new AbortController()
  let wake = new AbortController()
  const stopListening = onReconnect(nc, () => wake.abort())

  const declare = async () => {
    await ensureBuckets(nc, { buckets: ['participants'], timeoutMs: 2_000 })
    await (await new Kvm(jetstreamOf(nc)).open('participants')).put(service, JSON.stringify({ service }))
  }
  const persist = async () => {
    while (!stopping.signal.aborted && !nc.isClosed()) {
      try {
        await declare()
        return
      } catch (error) {
        options.log?.warn({ err: error }, 'failed to register as a participant in erasures, retrying')
        await delay(RETRY_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => 'stopping')
      }
    }
  }
  const keep = async () => {
    while (!stopping.signal.aborted) {
      await new Promise<void>((resolve) => {
        if (wake.signal.aborted || stopping.signal.aborted) return resolve()
        for (const { signal } of [wake, stopping]) signal.addEventListener('abort', () => resolve(), { once: true })
      })
      wake = new AbortController()
      if (!stopping.signal.aborted) await persist()
    }
  }
  await persist()
  const kept = keep()
  return {
    async close() {
      stopListening()
      stopping.abort()
      await kept
    }
  }
}

/** The services that take part, in order of their names, and when each last said so. */
export async function listParticipants(nc: NatsConnection): Promise<{ service: string; declaredAt: Date }[]> {
  await ensureBuckets(nc, { buckets: ['participants'] })
  const bucket = await new Kvm(jetstreamOf(nc)).open('participants')
  const found: { service: string; declaredAt: Date }[] = []
  for await (const key of await bucket.keys()) {
    const entry = await bucket.get(key)
    // Taken back since.
    if (entry?.operation === 'PUT') found.push({ service: key, declaredAt: entry.created })
  }
  return found.sort((a, b) => a.service.localeCompare(b.service))
}

/** Takes a declaration back, for a service that is gone for good: erasures and exports no longer wait for it. */
export async function withdrawParticipant(nc: NatsConnection, service: string): Promise<void> {
  await (await new Kvm(jetstreamOf(nc)).open('participants')).delete(service)
}

/**
 * Follows who takes part. `onDeclared` is called for each declaration, again after every reconnect; `onWithdrawn` only when one was taken back:
 * a bucket that was lost withdraws nobody.
 */
export async function watchParticipants(
  nc: NatsConnection,
  options: { onDeclared(service: string): void; onWithdrawn(service: string): void; log?: Logger | undefined }
): Promise<{ close(): Promise<void> }> {
  await ensureBuckets(nc, { buckets: ['participants'] })
  return watchBucket(nc, {
    bucket: 'participants',
    log: options.log,
    onBegin() {},
    onEntry({ key, operation }) {
      if (!NAME.test(key)) options.log?.warn({ key }, 'invalid service name in the participants bucket')
      else if (operation === 'PUT') options.onDeclared(key)
      else options.onWithdrawn(key)
    },
    onComplete() {}
  })
}
