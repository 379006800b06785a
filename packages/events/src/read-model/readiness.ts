import { type ConsumerInfo, JetStreamApiError, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream'
import { OperatorError } from '../operator/protocol.ts'
import { lookAt, WHOLE } from '../streams.ts'
import type { ModelState } from './state.ts'

const NOT_FOUND = [10014, 10059]

/** Rejects with PARTIAL, and the reason, where a stream does not hold every event from the first one on. */
export async function assertWhole(jsm: JetStreamManager, streams: readonly string[]): Promise<void> {
  for (const stream of streams) {
    const { info, refill } = await lookAt(jsm, stream)
    const lack = lackOf(info, refill !== undefined)
    if (lack === undefined) continue
    throw new OperatorError(
      'PARTIAL',
      `the stream ${stream} may lack events: ${lack}. A model built from it would lack what they said; --allow-partial builds it nevertheless`
    )
  }
}

function lackOf({ state, config }: StreamInfo, refilled: boolean): string | undefined {
  const whole = config.metadata?.[WHOLE]
  const oldest = state.messages === 0 ? '' : ` of ${state.first_ts}`
  if (whole === undefined) return 'it was made by a release that did not note whether it is whole'
  if (whole !== 'yes') return `it was lost or cut, and ${whole} with what the outbox kept`
  if (refilled) return 'it was cut, and refilled with what the outbox kept'
  if (state.first_seq > 1) return `its oldest event is number ${state.first_seq}${oldest}`
  if ((state.num_deleted ?? 0) > 0) return `${state.num_deleted} events were deleted from it`
  return undefined
}

export type Progress = { stream: string; applied: number; left: number }

/** How far a durable is on each of its streams; undefined for the info of one that is not there yet. */
export async function infosOf(
  jsm: JetStreamManager,
  streams: readonly string[],
  durable: string
): Promise<Map<string, ConsumerInfo | undefined>> {
  const infos = await Promise.all(
    streams.map((stream) =>
      jsm.consumers.info(stream, durable).catch((error: unknown) => {
        if (error instanceof JetStreamApiError && NOT_FOUND.includes(error.code)) return undefined
        throw error
      })
    )
  )
  return new Map(streams.map((stream, i) => [stream, infos[i]]))
}

export function progressOf(infos: ReadonlyMap<string, ConsumerInfo | undefined>): Progress[] {
  return [...infos].map(([stream, info]) => ({
    stream,
    applied: info === undefined ? 0 : Math.max(0, info.delivered.stream_seq === 0 ? 0 : info.ack_floor.stream_seq),
    left: info === undefined ? 0 : info.num_pending + info.num_ack_pending
  }))
}

/** What keeps a generation from being switched to, or null. `force` passes over dead letters alone. */
export async function waitsFor(
  jsm: JetStreamManager,
  service: string,
  building: NonNullable<ModelState['building']>,
  durable: string,
  force = false
): Promise<string | null> {
  const streams = Object.keys(building.streams)
  const infos = await infosOf(jsm, streams, durable)
  for (const stream of streams) {
    const { created } = await jsm.streams.info(stream)
    if (created !== building.streams[stream])
      return `the stream ${stream} was replaced since the rebuild began: abort it and begin anew`
  }
  const left = [...infos].filter(([, info]) => info === undefined || info.num_pending + info.num_ack_pending > 0)
  if (left.length > 0) return `${left.map(([stream]) => stream).join(', ')} not caught up yet`
  if (force) return null
  const subject = `dlq.${service}.${durable.slice(service.length + 2)}`
  const letters =
    (await jsm.streams.info(`dlq_${service}`, { subjects_filter: subject })).state.subjects?.[subject] ?? 0
  if (letters > 0)
    return `${letters} dead letters of ${durable}: retry or discard them, or switch nevertheless with --switch --force`
  return null
}
