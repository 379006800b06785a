import type { ConsumerStatus } from '@skerry/events'
import { StartError } from '@skerry/stores'
import { createProgress } from './progress.ts'
import { ask, type Context, parseConsumer, waitForOperation } from './system.ts'
import { parseTime } from './time.ts'

export type ReplayOptions = { from?: string; stream?: string; force?: boolean }

const EXAMPLE = 'replay content--people --from 2h'
const DAY_MS = 24 * 3_600_000

/** Has one consumer apply everything from a sequence or a time on once more, and waits until it has. */
export async function replay(context: Context, [text]: readonly string[], options: ReplayOptions): Promise<number> {
  const name = parseConsumer(text, EXAMPLE)
  const { from } = options
  if (from === undefined) throw new StartError(`give the start: ./skerry events ${EXAMPLE} (or a sequence: --from 1)`)
  const { parts } = await ask<ConsumerStatus>(context, name.service, `${name.purpose}.status`)
  const streams = [...new Set(parts.map((part) => part.stream))]
  const isSequence = /^\d+$/.test(from)
  if (isSequence && options.stream === undefined && streams.length > 1)
    throw new StartError(`${name.consumer} reads ${streams.join(', ')}: say whose sequence it is with --stream`)
  const asked: { stream: string; id: string }[] = []
  for (const stream of options.stream === undefined ? streams : [options.stream]) {
    const sequence = isSequence ? Number(from) : await sequenceAt(context, stream, parseTime('--from', from))
    if (sequence === undefined) {
      context.say(`${stream}: nothing came since then`)
      continue
    }
    const { id } = await ask<{ id: string }>(context, name.service, `${name.purpose}.replay`, {
      ...{ by: context.by, stream, from: sequence },
      ...(options.force ? { force: true } : {})
    })
    asked.push({ stream, id })
  }
  let failed = false
  for (const { stream, id } of asked) {
    const progress = createProgress(`${name.consumer} on ${stream}`, context.io.err)
    const view = await waitForOperation(context, name, id, {
      boundMs: DAY_MS,
      onView: ({ replay: part }) => {
        if (part)
          progress.show(part.floor - part.from + 1, part.until - part.from + 1, `${part.floor} of ${part.until}`)
      }
    })
    progress.end()
    context.say(context.json ? JSON.stringify(view) : `${stream}: ${view?.outcome ?? 'still going on'}`)
    failed ||= view?.state === 'failed'
  }
  return failed ? 1 : 0
}

/** The sequence of the first event that came at or after a time. */
async function sequenceAt({ jsm }: Context, stream: string, time: Date): Promise<number | undefined> {
  const { state } = await jsm.streams.info(stream)
  if (state.messages === 0 || Date.parse(state.last_ts) < time.getTime()) return undefined
  return (await jsm.direct.getMessage(stream, { start_time: time }))?.seq
}
