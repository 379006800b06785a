import type { Journal } from './journal.ts'
import type { Refused } from './load.ts'
import { followKey, type Plan, type PlannedUser } from './plan.ts'
import { whole } from './progress.ts'
import type { Secret } from './secret.ts'

/** What a run of the demo loader comes to. */
export type DemoResult = {
  users: number
  posts: number
  comments: number
  follows: number
  tags: number
  /** Mails that there are. */
  mails: number
  /** Whether more can be loaded: only the first mails were asked for, now and before. */
  more: boolean
  /** Mails left out, by reason. */
  skipped: Record<string, number>
  /** Texts cut to what a post or a comment may hold. */
  cut: { posts: number; comments: number }
  seconds: number
}

export function resultOf(
  plan: Plan,
  journal: Journal,
  refused: Refused,
  { startedAt, limited }: { startedAt: number; limited: boolean }
): DemoResult {
  const skipped: Record<string, number> = { ...plan.skipped }
  for (const [code, n] of Object.entries(refused)) skipped[`refused: ${code}`] = n
  return {
    users: plan.users.filter((u) => journal.users.has(u.key)).length,
    posts: plan.posts.filter((p) => journal.done.has(p.key)).length,
    comments: plan.comments.filter((c) => journal.done.has(c.key)).length,
    follows: plan.follows.filter((f) => journal.follows.has(followKey(f))).length,
    tags: plan.tags,
    mails: plan.mails,
    more: limited && journal.done.size <= plan.posts.length + plan.comments.length,
    skipped,
    cut: plan.cut,
    seconds: (performance.now() - startedAt) / 1000
  }
}

/** The lines that tell it, and how to look at it. */
export function describe(
  result: DemoResult,
  example: { user: PlannedUser; username: string } | undefined,
  secret: Secret,
  baseUrl: string
): string {
  const { users, posts, comments, follows, tags, mails, more, skipped, cut, seconds } = result
  const lines = [
    '',
    `The demo is loaded: ${whole(users)} users, ${whole(posts)} posts, ${whole(comments)} comments, ${whole(follows)} follows, ${whole(tags)} tags, from ${more ? `the first ${whole(posts + comments)} of ` : ''}${whole(mails)} mails in ${seconds.toFixed(1)} s.`,
    ...(more ? ['All of them, which takes minutes: npm run demo -- --all'] : [])
  ]
  const left = Object.entries(skipped).map(([reason, n]) => `${whole(n)} ${reason}`)
  lines.push(
    `Left out: ${left.length === 0 ? 'nothing' : left.join(', ')}. Cut to length: ${cut.posts} posts, ${cut.comments} comments.`
  )
  if (example !== undefined) {
    const body = JSON.stringify({ login: example.username, password: secret.password(example.user.key) })
    lines.push(
      '',
      `The feed of ${example.user.displayName}:`,
      '',
      `  TOKEN=$(curl -s ${baseUrl}/v1/auth/login -H 'content-type: application/json' -d '${body}' | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')`,
      `  curl -s "${baseUrl}/v1/feed?limit=5&fields=title,author.displayName,tags,counts" -H "authorization: Bearer $TOKEN"`
    )
  }
  return `${lines.join('\n')}\n\n`
}

/** Who follows the most people: their feed has the most to show. */
export function exampleOf(plan: Plan, journal: Journal): { user: PlannedUser; username: string } | undefined {
  const counts = new Map<string, number>()
  for (const { user } of plan.follows) counts.set(user, (counts.get(user) ?? 0) + 1)
  let best = plan.users[0]
  for (const user of plan.users) if ((counts.get(user.key) ?? 0) > (counts.get(best?.key ?? '') ?? 0)) best = user
  const username = best === undefined ? undefined : journal.users.get(best.key)?.username
  return best === undefined || username === undefined ? undefined : { user: best, username }
}
