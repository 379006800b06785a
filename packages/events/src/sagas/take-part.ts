import {
  AccountDeleted,
  ErasureRequested,
  ExportRequested,
  erasureCompletedBy,
  exportCompletedBy,
  exportPartOf
} from '@skerry/contracts'
import { bucketOf, newId, type Store, transaction } from '@skerry/store'
import { publish } from '../outbox.ts'
import { onIdempotent, type Subscription } from '../subscription.ts'

/** How many of what was erased. */
export type Counts = Record<string, number>

/** Something of somebody, for an export: `section` is one of few words, such as `posts`. */
export type ExportItem = { section: string; item: unknown }

export type Part = {
  store: Store
  service: string
  /** Erases all that the service has of somebody. It may be called again at any point, and then goes on; also for somebody unknown. */
  erase(userId: string): Promise<Counts>
  /** All that the service has of somebody, section by section. */
  exportItems(userId: string): AsyncIterable<ExportItem>
  /** JSON bytes of one part (200 KiB; an event takes less than 1 MiB) and parts of one export (500). */
  partBytes?: number
  maxParts?: number
}

const PART_BYTES = 200 * 1024
const MAX_PARTS = 500

/**
 * What a service subscribes to in order to take part in erasures and exports: it answers each with events of its own. For a `startConsumer`
 * with the purpose `sagas`; `declareParticipant` makes them wait for it. See docs/sagas.md.
 */
export function takePart(part: Part): Subscription[] {
  const { store, service } = part
  const Erased = erasureCompletedBy(service)
  return [
    onIdempotent(ErasureRequested, async ({ data: { erasureId, userId }, traceparent }) => {
      const erased = await part.erase(userId)
      await transaction(store, traced(traceparent), async (tx) => {
        publish(store, tx, Erased, { erasureId, userId, erased })
      })
    }),
    // What was under way while it was erased for the first time.
    onIdempotent(AccountDeleted, async ({ data: { userId } }) => {
      await part.erase(userId)
    }),
    onIdempotent(ExportRequested, async ({ data: { exportId, userId }, traceparent }) => {
      await sendExport(part, { exportId, userId, call: traced(traceparent) })
    })
  ]
}

const traced = (traceparent: string | undefined) => (traceparent === undefined ? {} : { traceparent })

type Asked = { exportId: string; userId: string; call: { traceparent?: string } }

/** Each attempt has its own `run`, so that parts of one that was cut off are not mixed with those of the next. */
async function sendExport(part: Part, { exportId, userId, call }: Asked): Promise<void> {
  const { store, service } = part
  const PartSent = exportPartOf(service)
  const Completed = exportCompletedBy(service)
  const maxParts = part.maxParts ?? MAX_PARTS
  const run = newId(bucketOf(userId))
  const counts: Counts = {}
  let parts = 0
  let truncated = false
  let last: string | undefined
  for await (const { section, items } of inParts(part.exportItems(userId), part.partBytes ?? PART_BYTES)) {
    if (parts === maxParts) {
      truncated = true
      break
    }
    const number = parts++
    if (last !== section && counts[section] !== undefined) throw new Error(`the section ${section} comes twice`)
    last = section
    await transaction(store, call, async (tx) => {
      publish(store, tx, PartSent, { exportId, userId, run, part: number, section, items })
    })
    counts[section] = (counts[section] ?? 0) + items.length
  }
  await transaction(store, call, async (tx) => {
    publish(store, tx, Completed, { exportId, userId, run, parts, counts, truncated })
  })
}

/** Items of one section together, up to a size. */
async function* inParts(
  items: AsyncIterable<ExportItem>,
  maxBytes: number
): AsyncGenerator<{ section: string; items: unknown[] }> {
  let held: unknown[] = []
  let bytes = 0
  let of = ''
  for await (const { section, item } of items) {
    const size = Buffer.byteLength(JSON.stringify(item))
    if (held.length > 0 && (section !== of || bytes + size > maxBytes)) {
      yield { section: of, items: held }
      held = []
      bytes = 0
    }
    of = section
    held.push(item)
    bytes += size + 1
  }
  if (held.length > 0) yield { section: of, items: held }
}
