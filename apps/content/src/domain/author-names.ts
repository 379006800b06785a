import type { Author } from '@skerry/contracts'
import type { Store } from '@skerry/store'
import { findAuthors } from '../data/authors.ts'
import type { Person } from './deps.ts'

/** What authors are called: from the read model, with a short memory in front. */
export type AuthorNames = {
  /** All of `ids`, also those of whom nothing is known yet. `caller` knows their own name, from their token. */
  get(ids: Iterable<string>, caller?: Person): Promise<(id: string) => Author>
  /** Whether the read model has this author. */
  knows(id: string): Promise<boolean>
}

/**
 * A name may be up to `ttlMs` old: names come by event, so they are late anyway. Memory is bounded by two generations of `max` entries each.
 */
export function createAuthorNames(store: Store, options: { ttlMs: number; max: number }): AuthorNames {
  let young = new Map<string, Author>()
  let old = new Map<string, Author>()
  let turnedAt = performance.now()

  /** What is in `old` was read at most two half-lives ago. */
  function turn(): void {
    const now = performance.now()
    const halfLives = (now - turnedAt) / (options.ttlMs / 2)
    if (halfLives < 1 && young.size < options.max) return
    old = halfLives < 2 ? young : new Map()
    young = new Map()
    turnedAt = now
  }

  async function load(ids: string[]): Promise<Map<string, Author>> {
    const into = young
    const found = new Map<string, Author>()
    for (const author of await findAuthors(store, ids)) {
      found.set(author.id, author)
      // Into the generation of when it was asked for, so that it is never older than it seems.
      if (options.ttlMs > 0) into.set(author.id, author)
    }
    return found
  }

  function cached(id: string): Author | undefined {
    return young.get(id) ?? old.get(id)
  }

  return {
    async get(ids, caller) {
      turn()
      const wanted = new Set(ids)
      const known = new Map<string, Author>()
      for (const id of wanted) {
        const author = cached(id)
        if (author !== undefined) known.set(id, author)
      }
      if (known.size < wanted.size) {
        const missing = [...wanted].filter((id) => !known.has(id))
        for (const [id, author] of await load(missing)) known.set(id, author)
      }
      return (id) => known.get(id) ?? stranger(id, caller)
    },
    async knows(id) {
      turn()
      return cached(id) !== undefined || (await load([id])).has(id)
    }
  }
}

/** An author whose profile has not arrived: the caller is who their token says, anybody else has no name for a moment. */
function stranger(id: string, caller: Person | undefined): Author {
  if (caller?.userId === id) return { id, username: caller.username, displayName: caller.displayName, avatar: null }
  return { id, username: 'unknown', displayName: 'Unknown', avatar: null }
}
