import { createHash } from 'node:crypto'
import { SkerryApiError } from '@skerry/sdk'
import type { Accounts } from './accounts.ts'
import type { Existing } from './existing.ts'
import type { Journal } from './journal.ts'
import { inLanes } from './lanes.ts'
import { followKey, type Plan, type PlannedComment, type PlannedPost } from './plan.ts'
import type { Progress } from './progress.ts'

/** Requests in flight at once. */
const WIDTH = 16
/** A password costs its hash: more at once would only wait for each other. */
const SIGN_UPS = 4
const FLUSH_MS = 1000

export type LoadDeps = {
  plan: Plan
  journal: Journal
  accounts: Accounts
  existing: Existing
  progress: Progress
  /** Begin nothing more. */
  signal: AbortSignal
  /** Aborts what is on its way. */
  requests: AbortSignal
  /** Has `requests` abort soon: the run has failed. */
  giveUp: () => void
}

/** What the server would not take, by code. */
export type Refused = Record<string, number>

/**
 * Loads what the journal does not have yet: users, then who follows whom, then threads, several at once, begun in the order in which they
 * were written: a post, then its comments. Posts of one author keep their order; neighbours of several may change places.
 * @throws the signal's reason when aborted; what no retry could mend
 */
export async function load(deps: LoadDeps): Promise<Refused> {
  const flushing = setInterval(() => deps.journal.flush(), FLUSH_MS)
  try {
    await loadUsers(deps)
    await loadFollows(deps)
    return await loadPosts(deps)
  } finally {
    clearInterval(flushing)
  }
}

async function loadUsers(deps: LoadDeps): Promise<void> {
  const { plan, journal, accounts, progress, signal, giveUp } = deps
  const missing = plan.users.filter((user) => !journal.users.has(user.key))
  progress.stage('users', plan.users.length, { from: plan.users.length - missing.length })
  await inLanes({ width: SIGN_UPS, signal, onFail: giveUp }, async (lanes) => {
    for (const user of missing) await lanes.start(() => accounts.ensure(user).then(() => progress.add()))
  })
  progress.end()
}

async function loadFollows(deps: LoadDeps): Promise<void> {
  const { plan, journal, accounts, progress, signal, requests, giveUp } = deps
  const missing = plan.follows.filter((f) => !journal.follows.has(followKey(f)))
  progress.stage('follows', plan.follows.length, { from: plan.follows.length - missing.length })
  await inLanes({ width: WIDTH, signal, onFail: giveUp }, async (lanes) => {
    for (const follow of missing) {
      await lanes.start(async () => {
        const followed = accounts.idOf(follow.follows)
        await accounts.as(follow.user, (client) => client.users.follow(followed, { signal: requests }))
        journal.add({ t: 'follow', key: followKey(follow) })
        progress.add()
      })
    }
  })
  progress.end()
}

async function loadPosts(deps: LoadDeps): Promise<Refused> {
  const { plan, journal, progress, signal, giveUp } = deps
  const threads = Map.groupBy(plan.comments, (comment) => comment.post)
  const all = [...plan.posts, ...plan.comments]
  const refused: Refused = {}
  progress.stage('mails', all.length, { from: all.filter((x) => journal.done.has(x.key)).length })
  const latest = new Map<string, Promise<unknown>>()
  await inLanes({ width: WIDTH, signal, onFail: giveUp }, async (lanes) => {
    for (const post of plan.posts) {
      const comments = (threads.get(post.key) ?? []).filter((comment) => !journal.done.has(comment.key))
      if (journal.done.has(post.key) && comments.length === 0) continue
      await lanes.start(async () => {
        // Waits for a lane that began before this one, so some lane always goes on.
        const turn = (latest.get(post.user) ?? Promise.resolve()).then(() => {
          lanes.check()
          return unlessRefused(refused, () => loadPost(deps, post))
        })
        latest.set(post.user, turn)
        const id = await turn
        if (id === undefined && comments.length > 0)
          refused['the post it answers'] = (refused['the post it answers'] ?? 0) + comments.length
        else if (id !== undefined)
          for (const comment of comments) {
            lanes.check()
            await unlessRefused(refused, () => loadComment(deps, comment, id))
          }
      })
    }
  })
  progress.end()
  return refused
}

async function loadPost(
  { journal, accounts, existing, progress, requests }: LoadDeps,
  post: PlannedPost
): Promise<string> {
  const known = journal.done.get(post.key)
  if (known !== undefined) return known
  let id = await existing.post(post)
  if (id === undefined) {
    const { title, text, tags } = post
    const body = { ...(title === undefined ? {} : { title }), text, tags }
    const idempotencyKey = keyOf('post', accounts.idOf(post.user), post.key, body)
    journal.add({ t: 'try', key: post.key, at: Date.now() })
    id = (await accounts.as(post.user, (client) => client.posts.create(body, { idempotencyKey, signal: requests }))).id
  }
  journal.add({ t: 'post', key: post.key, id })
  progress.add()
  return id
}

async function loadComment(deps: LoadDeps, comment: PlannedComment, postId: string): Promise<void> {
  const { journal, accounts, existing, progress, requests } = deps
  let id = await existing.comment(comment, postId)
  if (id === undefined) {
    const body = { text: comment.text }
    const idempotencyKey = keyOf('comment', accounts.idOf(comment.user), comment.key, body)
    journal.add({ t: 'try', key: comment.key, at: Date.now() })
    id = (await accounts.as(comment.user, (c) => c.comments.create(postId, body, { idempotencyKey, signal: requests })))
      .id
  }
  journal.add({ t: 'comment', key: comment.key, id })
  progress.add()
}

/** The same for the same mail in the same data set: the author's id is new when the data is. */
function keyOf(what: string, userId: string, key: string, body: object): string {
  return createHash('sha256')
    .update(`demo ${what} ${userId} ${key} ${JSON.stringify(body)}`)
    .digest('base64url')
}

const REFUSALS = new Set([400, 404, 409, 413, 422])

/** Counts a mail that the server refuses for what it is, and goes on with the next; anything else ends the run. */
async function unlessRefused<T>(refused: Refused, step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if (!(error instanceof SkerryApiError) || !REFUSALS.has(error.status)) throw error
    refused[error.code] = (refused[error.code] ?? 0) + 1
    return undefined
  }
}
