import { createHash } from 'node:crypto'
import { SkerryApiError } from '@skerry/sdk'
import type { Accounts } from './accounts.ts'
import type { Existing } from './existing.ts'
import type { Journal } from './journal.ts'
import { createLanes } from './lanes.ts'
import type { Plan, PlannedComment, PlannedPost } from './plan.ts'
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
  /** Give up what is on its way. */
  requests: AbortSignal
}

/** What the server would not take, by code. */
export type Refused = Record<string, number>

/**
 * Loads what the journal does not have yet: users, then who follows whom, then posts one by one in the order they were written, each
 * thread's comments following on as many lanes as are free.
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

async function loadUsers({ plan, journal, accounts, progress, signal }: LoadDeps): Promise<void> {
  const missing = plan.users.filter((user) => !journal.users.has(user.key))
  progress.stage('users', plan.users.length, { from: plan.users.length - missing.length })
  const lanes = createLanes(SIGN_UPS, signal)
  for (const user of missing) await lanes.start(() => accounts.ensure(user).then(() => progress.add()))
  await lanes.idle()
  progress.end()
}

async function loadFollows({ plan, journal, accounts, progress, signal, requests }: LoadDeps): Promise<void> {
  const missing = plan.follows.filter((f) => !journal.follows.has(`${f.user} ${f.follows}`))
  progress.stage('follows', plan.follows.length, { from: plan.follows.length - missing.length })
  const lanes = createLanes(WIDTH, signal)
  for (const { user, follows } of missing) {
    await lanes.start(async () => {
      await accounts.as(user, (client) => client.users.follow(accounts.idOf(follows), { signal: requests }))
      journal.add({ t: 'follow', key: `${user} ${follows}` })
      progress.add()
    })
  }
  await lanes.idle()
  progress.end()
}

async function loadPosts(deps: LoadDeps): Promise<Refused> {
  const { plan, journal, progress, signal } = deps
  const threads = new Map<string, PlannedComment[]>()
  for (const comment of plan.comments) threads.set(comment.post, [...(threads.get(comment.post) ?? []), comment])
  const all = [...plan.posts, ...plan.comments]
  const refused: Refused = {}
  progress.stage('mails', all.length, { from: all.filter((x) => journal.done.has(x.key)).length })
  const lanes = createLanes(WIDTH - 1, signal)
  try {
    for (const post of plan.posts) {
      lanes.check()
      const id = await unlessRefused(refused, () => loadPost(deps, post))
      const comments = threads.get(post.key) ?? []
      if (id === undefined) refused['the post it answers'] = (refused['the post it answers'] ?? 0) + comments.length
      else if (comments.some((c) => !journal.done.has(c.key))) {
        await lanes.start(async () => {
          for (const comment of comments) {
            lanes.check()
            await unlessRefused(refused, () => loadComment(deps, comment, id))
          }
        })
      }
    }
  } catch (error) {
    lanes.fail(error)
  }
  await lanes.idle() // also after a failure: what is under way ends first, so that the journal has its answer
  progress.end()
  if (refused['the post it answers'] === 0) delete refused['the post it answers']
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
  if (journal.done.has(comment.key)) return
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
