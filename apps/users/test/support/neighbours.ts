import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AccountCreated,
  AccountDeleted,
  AccountUpdated,
  type DataOf,
  type EventContract,
  orderKeyOf,
  ownerOf,
  PostCreated,
  PostDeleted,
  wireSubject
} from '@skerry/contracts'
import { toHeaders } from '@skerry/events'
import { jetstreamOf, managerOf, type NatsConnection } from '@skerry/service'
import { newId } from '@skerry/store'
import type { Someone } from './people.ts'

type Manifest = { skerry: { consumers: Record<string, string[]> } }

/** Stands where auth and content would be: owns their streams and publishes their events. */
export type Neighbours = {
  created(person: Someone): Promise<void>
  renamed(person: Someone, username: string, version: number, time?: number): Promise<void>
  deleted(person: Someone): Promise<void>
  /** Answers the post's id. */
  posted(authorId: string): Promise<string>
  unposted(authorId: string, postId: string): Promise<void>
  /** Publishes the last event once more under the same id. */
  repeatLast(): Promise<void>
}

export async function startNeighbours(nc: NatsConnection): Promise<Neighbours> {
  const jsm = await managerOf(nc)
  // Of whomever it consumes, so that a consumer which `skerry new` adds finds the stream that it waits for before it is ready.
  const { skerry } = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')) as Manifest
  const owners = new Set(['auth', 'content', ...Object.values(skerry.consumers).flat()])
  owners.delete('users')
  // No window: what is repeated really comes again.
  for (const name of owners) {
    await jsm.streams.add({ name, subjects: [`${name}.>`], duplicate_window: 100_000_000 })
  }
  const js = jetstreamOf(nc)
  let last: () => Promise<unknown> = async () => undefined

  async function publish<E extends EventContract>(event: E, data: DataOf<E>, time = Date.now()): Promise<void> {
    const id = newId(0)
    const subject = wireSubject(event)
    const at = new Date(time).toISOString()
    const envelope = {
      ...{ id, subject, entity: event.entity(data), orderKey: orderKeyOf(event, data) },
      time: at,
      traceparent: undefined
    }
    const headers = toHeaders(ownerOf(event), envelope)
    last = () => js.publish(subject, JSON.stringify(data), { headers })
    await last()
  }

  return {
    created: ({ id, username, displayName }) =>
      publish(AccountCreated, { userId: id, username, displayName, createdAt: new Date().toISOString() }),
    renamed: ({ id }, username, version, time) =>
      publish(AccountUpdated, { userId: id, username, changed: ['username'], version }, time),
    deleted: ({ id }) => publish(AccountDeleted, { userId: id }),
    async posted(authorId) {
      const postId = newId(0)
      const at = new Date().toISOString()
      const nothing = { title: null, summary: null, tags: [] }
      await publish(PostCreated, { ...nothing, postId, authorId, text: 'x', createdAt: at, updatedAt: at, version: 1 })
      return postId
    },
    unposted: (authorId, postId) => publish(PostDeleted, { postId, authorId }),
    async repeatLast() {
      await last()
    }
  }
}
