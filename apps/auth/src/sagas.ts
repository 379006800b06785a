import { setTimeout as delay } from 'node:timers/promises'
import { AccountDeleted, erasureCompletedBy, exportCompletedBy, exportPartOf } from '@skerry/contracts'
import { type ConsumerOptions, type Owned, on, onIdempotent, startConsumer } from '@skerry/events'
import { watchParticipants } from '@skerry/service'
import { findParticipants } from './data/participants.ts'
import { clearAccount, noteErasure } from './domain/delete-account.ts'
import { keepPart, noteExport } from './domain/export-account.ts'
import { joinSagas, leaveSagas } from './domain/participants.ts'

export type SagasOptions = Omit<ConsumerOptions, 'purpose' | 'subscriptions'> & {
  /** Epoch milliseconds. */
  now(): number
}

const RETRY_MS = 500

/**
 * Hears the answers of the services that take part in erasures and exports. Who they are is what they have declared: each that comes gets a
 * consumer on its stream; auth knows none by name.
 */
export async function startSagas(options: SagasOptions): Promise<{ stop(): Promise<void> }> {
  const { store, nc, log } = options
  const deps = { store, now: options.now }
  const stopping = new AbortController()
  const consumers = new Map<string, Owned>()
  let line = Promise.resolve()

  const listen = (service: string) => {
    if (consumers.has(service) || stopping.signal.aborted) return
    const subscriptions = answersOf(deps, service)
    // Each by itself, so that operators can tell them apart.
    consumers.set(service, startConsumer({ ...options, purpose: `sagas-${service}`, subscriptions }))
  }
  /** One after the other, each until it has worked. */
  const surely = (work: () => Promise<void>) => {
    line = line.then(async () => {
      while (!stopping.signal.aborted) {
        try {
          return await work()
        } catch (error) {
          log.warn({ err: error }, 'failed to record the participants in erasures, retrying')
          await delay(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => 'stopping')
        }
      }
    })
  }

  for (const service of await findParticipants(store)) listen(service)
  const own = startConsumer({
    ...options,
    purpose: 'ended',
    subscriptions: [onIdempotent(AccountDeleted, ({ data }) => clearAccount(deps, data))]
  })
  const watch = await watchParticipants(nc, {
    onDeclared(service) {
      surely(async () => {
        await joinSagas(deps, service)
        listen(service)
      })
    },
    onWithdrawn(service) {
      surely(() => leaveSagas(deps, service))
    }
  })
  return {
    async stop() {
      stopping.abort()
      await watch.close()
      await line
      await Promise.all([own, ...consumers.values()].map((consumer) => consumer.stop()))
    }
  }
}

function answersOf(deps: { store: ConsumerOptions['store']; now(): number }, service: string) {
  return [
    on(erasureCompletedBy(service), ({ data }, tx) =>
      noteErasure(deps, tx, { erasureId: data.erasureId, service, counts: data.erased })
    ),
    on(exportPartOf(service), ({ data }, tx) => keepPart(deps, tx, service, data)),
    on(exportCompletedBy(service), ({ data }, tx) => {
      const { exportId, run, parts, counts, truncated } = data
      return noteExport(deps, tx, { exportId, service, sent: { run, parts, counts, truncated } })
    })
  ]
}
