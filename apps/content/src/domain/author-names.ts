import type { Author } from '@skerry/contracts'
import { createBatch, type Store } from '@skerry/store'
import { findAuthors } from '../data/authors.ts'
import type { Person } from './person.ts'
import { createShortMemory } from './short-memory.ts'

/** What authors are called: from the read model, with a short memory in front. */
export type AuthorNames = {
  /** All of `ids`, also those of whom nothing is known yet. `caller` knows their own name, from their token. */
  get(ids: Iterable<string>, caller?: Person): Promise<(id: string) => Author>
  /** What the read model says of one author; undefined: nothing. */
  find(id: string): Promise<Author | undefined>
}

/** A name may be up to `ttlMs` old: names come by event, so they are late anyway. */
export function createAuthorNames(store: Store, options: { ttlMs: number; max: number }): AuthorNames {
  const memory = createShortMemory<Author>(options.ttlMs, options.max)
  const batch = createBatch(async (ids) => {
    const remember = memory.begin()
    const found = await findAuthors(store, ids)
    for (const [id, author] of found) remember(id, author)
    return found
  }, 500)

  return {
    async get(ids, caller) {
      const known = new Map<string, Author>()
      const missing: string[] = []
      for (const id of new Set(ids)) {
        const author = memory.get(id)
        if (author === undefined) missing.push(id)
        else known.set(id, author)
      }
      const loaded = await batch.many(missing)
      return (id) => known.get(id) ?? loaded.get(id) ?? stranger(id, caller)
    },
    async find(id) {
      return memory.get(id) ?? (await batch.one(id))
    }
  }
}

/** An author whose profile has not arrived: the caller is who their token says, anybody else has no name for a moment. */
function stranger(id: string, caller: Person | undefined): Author {
  if (caller?.userId === id) return { id, username: caller.username, displayName: caller.displayName, avatar: null }
  return { id, username: 'unknown', displayName: 'Unknown', avatar: null }
}
