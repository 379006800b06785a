import { type ConsumerInfo, JetStreamApiError, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream'
import { OperatorError } from '../operator/protocol.ts'
import { durableOf, partitionsOf } from '../partitions.ts'
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

/** How far a consumer is on a stream, in all of its partitions; not `begun` while one of them has no durable. */
type StreamProgress = Progress & { created: string; begun: boolean }

export async function progressOn(
  jsm: JetStreamManager,
  streams: readonly string[],
  consumer: string
): Promise<StreamProgress[]> {
  return Promise.all(
    streams.map(async (stream) => {
      const { created, config } = await jsm.streams.info(stream)
      const found = await Promise.all(
        partitionsOf(config).map((partition) => infoOf(jsm, stream, durableOf(consumer, partition)))
      )
      const infos = found.filter((info) => info !== undefined)
      return {
        ...{ stream, created, begun: infos.length === found.length },
        applied: Math.max(0, ...infos.map((info) => (info.delivered.stream_seq === 0 ? 0 : info.ack_floor.stream_seq))),
        left: infos.reduce((sum, info) => sum + info.num_pending + info.num_ack_pending, 0)
      }
    })
  )
}

async function infoOf(jsm: JetStreamManager, stream: string, durable: string): Promise<ConsumerInfo | undefined> {
  try {
    return await jsm.consumers.info(stream, durable)
  } catch (error) {
    if (error instanceof JetStreamApiError && NOT_FOUND.includes(error.code)) return undefined
    throw error
  }
}

/** What keeps a generation from being switched to, or null. `force` passes over dead letters alone. */
export async function waitsFor(
  jsm: JetStreamManager,
  service: string,
  building: NonNullable<ModelState['building']>,
  consumer: string,
  force = false
): Promise<string | null> {
  const streams = Object.keys(building.streams)
  const progress = await progressOn(jsm, streams, consumer)
  const replaced = progress.find(({ stream, created }) => created !== building.streams[stream])
  if (replaced !== undefined)
    return `the stream ${replaced.stream} was replaced since the rebuild began: abort it and begin anew`
  const late = progress.filter(({ begun, left }) => !begun || left > 0)
  if (late.length > 0) return `${late.map(({ stream }) => stream).join(', ')} not caught up yet`
  if (force) return null
  const subject = `dlq.${service}.${consumer.slice(service.length + 2)}`
  const letters =
    (await jsm.streams.info(`dlq_${service}`, { subjects_filter: subject })).state.subjects?.[subject] ?? 0
  if (letters > 0)
    return `${letters} dead letters of ${consumer}: retry or discard them, or switch nevertheless with --switch --force`
  return null
}
