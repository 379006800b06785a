import { paginate } from '@skerry/sdk'
import type { Accounts } from './accounts.ts'
import type { Journal } from './journal.ts'
import type { PlannedComment, PlannedPost } from './plan.ts'

/** A server keeps an Idempotency-Key for 24 h: an answer lost longer ago than this is looked up instead. */
const KEY_LIFE_MS = 23 * 3600 * 1000

/**
 * Finds what an earlier run has loaded although the journal does not say so: the journal was lost, or the last run ended between a
 * request and its answer more than a day ago.
 */
export type Existing = {
  post(post: PlannedPost): Promise<string | undefined>
  comment(comment: PlannedComment, postId: string): Promise<string | undefined>
}

export function createExisting(journal: Journal, accounts: Accounts, signal: AbortSignal): Existing {
  const posts = new Map<string, Promise<Map<string, string[]>>>()
  const comments = new Map<string, Promise<Map<string, string[]>>>()

  function mayBeThere(key: string, user: string): boolean {
    const tried = journal.tried.get(key)
    return journal.users.get(user)?.existed === true || (tried !== undefined && Date.now() - tried > KEY_LIFE_MS)
  }

  async function postsOf(user: string): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>()
    const known = new Set(journal.done.values())
    const author = accounts.idOf(user)
    const list = paginate((cursor) =>
      accounts.as(user, (c) =>
        c.posts.list({ author, limit: 100, ...(cursor === undefined ? {} : { cursor }) }, { signal })
      )
    )
    for await (const post of list) if (!known.has(post.id)) push(found, `${post.title ?? ''}\n${post.text}`, post.id)
    return found
  }

  async function commentsOf(user: string, postId: string): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>()
    const known = new Set(journal.done.values())
    const list = paginate((cursor) =>
      accounts.as(user, (c) =>
        c.comments.list(postId, { limit: 100, ...(cursor === undefined ? {} : { cursor }) }, { signal })
      )
    )
    for await (const { id, author, text } of list) if (!known.has(id)) push(found, `${author.id}\n${text}`, id)
    return found
  }

  return {
    async post(post) {
      if (!mayBeThere(post.key, post.user)) return undefined
      const mine = once(posts, post.user, () => postsOf(post.user))
      return (await mine).get(`${post.title ?? ''}\n${post.text}`)?.pop()
    },
    async comment(comment, postId) {
      if (!mayBeThere(comment.key, comment.user)) return undefined
      const there = once(comments, postId, () => commentsOf(comment.user, postId))
      return (await there).get(`${accounts.idOf(comment.user)}\n${comment.text}`)?.pop()
    }
  }
}

function once<T>(cache: Map<string, Promise<T>>, key: string, read: () => Promise<T>): Promise<T> {
  const known = cache.get(key)
  if (known !== undefined) return known
  const value = read()
  cache.set(key, value)
  return value
}

/** Newest first on the wire, so the oldest comes off the end first, which is the order of the plan. */
function push(map: Map<string, string[]>, key: string, id: string): void {
  const ids = map.get(key)
  if (ids === undefined) map.set(key, [id])
  else ids.push(id)
}
