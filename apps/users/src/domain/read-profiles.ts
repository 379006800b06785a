import { type PageOf, type Profile, type QueryOf, SkerryError, type usersRoutes } from '@skerry/contracts'
import { decodeCursor, encodeCursor } from '@skerry/store'
import { tidy, usernameKey } from '@skerry/text'
import { findEdges, type Side } from '../data/follows.ts'
import { findNames, findUserByName } from '../data/usernames.ts'
import type { Deps } from './deps.ts'
import { presentProfile } from './present.ts'

const DEFAULT_LIMIT = 20

/** A query with names as they are compared, before the contract is checked: keyboards add spaces. */
export function withTidyNames(query: unknown): unknown {
  const { username, q } = query as { username?: unknown; q?: unknown }
  return {
    ...(query as object),
    ...(typeof username === 'string' ? { username: tidy(username) } : {}),
    ...(typeof q === 'string' ? { q: tidy(q) } : {})
  }
}

export async function getUser({ profiles }: Deps, id: string): Promise<Profile> {
  const profile = await profiles.one(id)
  if (profile === undefined) throw new SkerryError('USR_NOT_FOUND')
  return presentProfile(profile)
}

/** People by exact name, by ids or by the beginning of a name: exactly one of the three. */
export async function findUsers(deps: Deps, query: QueryOf<typeof usersRoutes.findUsers>): Promise<PageOf<Profile>> {
  const { username, ids, q } = query
  const given = Object.entries({ username, ids, q }).filter(([, value]) => value !== undefined)
  if (given.length !== 1) {
    throw new SkerryError('BAD_REQUEST', {
      errors: ['username', 'ids', 'q'].map((name) => ({
        path: `query.${name}`,
        code: 'one_of',
        message: 'exactly one of username, ids and q is needed'
      }))
    })
  }
  if (q !== undefined) return searchNames(deps, q, query.limit ?? DEFAULT_LIMIT, query.cursor)
  // These two answer all there is, so no cursor is one of theirs.
  decodeCursor('users:all', query.cursor, [])
  const wanted = ids === undefined ? [await findUserByName(deps.store, username ?? '')] : [...new Set(ids.split(','))]
  const found = await presentAll(
    deps,
    wanted.filter((id) => id !== undefined)
  )
  return { items: found, nextCursor: null }
}

/** The profiles of these ids, in their order; what isn't there is left out. */
async function presentAll({ profiles }: Deps, ids: readonly string[]): Promise<Profile[]> {
  const byId = await profiles.many(ids)
  return ids.flatMap((id) => {
    const profile = byId.get(id)
    return profile === undefined ? [] : presentProfile(profile)
  })
}

async function searchNames(deps: Deps, q: string, limit: number, cursor: string | undefined): Promise<PageOf<Profile>> {
  const list = `users:q:${usernameKey(q)}`
  const [after] = decodeCursor(list, cursor, ['string']) ?? []
  const names = await findNames(deps.store, q, after as string | undefined, limit + 1)
  const page = names.slice(0, limit)
  const found = await presentAll(
    deps,
    page.map((name) => name.userId)
  )
  const last = page.at(-1)
  return {
    items: found,
    nextCursor: names.length > limit && last !== undefined ? encodeCursor(list, [last._id]) : null
  }
}

/** Followers of somebody, or whom they follow; newest first. */
export async function listFollows(
  deps: Deps,
  side: Side,
  id: string,
  query: { limit?: number; cursor?: string }
): Promise<PageOf<Profile>> {
  const list = `users:${side}:${id}`
  const [before] = decodeCursor(list, query.cursor, ['string']) ?? []
  const limit = query.limit ?? DEFAULT_LIMIT
  const [owner, edges] = await Promise.all([
    deps.profiles.one(id),
    findEdges(deps.store, side, id, before as string | undefined, limit + 1)
  ])
  if (owner === undefined) throw new SkerryError('USR_NOT_FOUND')
  const page = edges.slice(0, limit)
  const found = await presentAll(
    deps,
    page.map((edge) => edge.otherId)
  )
  const last = page.at(-1)
  return {
    items: found,
    nextCursor: edges.length > limit && last !== undefined ? encodeCursor(list, [last.edge]) : null
  }
}
