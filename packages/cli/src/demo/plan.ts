import { createHash } from 'node:crypto'
import { type Mail, parseMail, type RawMail, type SkipReason } from './mail.ts'
import { tagFrom } from './names.ts'
import { createSenders, type PlannedUser } from './senders.ts'
import { cut, hideAddresses } from './text.ts'
import { placeInThreads } from './threads.ts'

export type { PlannedUser } from './senders.ts'
export type PlannedPost = { key: string; user: string; title?: string; text: string; tags: string[]; date: number }
export type PlannedComment = { key: string; user: string; post: string; text: string; date: number }
export type PlannedFollow = { user: string; follows: string }

/** What the journal calls a follow. */
export function followKey({ user, follows }: PlannedFollow): string {
  return `${user} ${follows}`
}

/** Everything the demo will load, in the order it happened. */
export type Plan = {
  users: PlannedUser[]
  follows: PlannedFollow[]
  posts: PlannedPost[]
  comments: PlannedComment[]
  tags: number
  mails: number
  skipped: Partial<Record<SkipReason, number>>
  /** Texts that were longer than a post or a comment may be. */
  cut: { posts: number; comments: number }
}

export const POST_CHARS = 20_000
export const COMMENT_CHARS = 5_000
const TITLE_CHARS = 200

export type PlanOptions = {
  /** A short stable code for an address, which must not tell it. */
  hash: (address: string) => string
  /** Only the first mails by date. */
  limit?: number
  onProgress?: (mails: number) => void
}

/** Turns mails into users, follows, posts and comments. The same mails always give the same plan. */
export async function planDemo(raws: AsyncIterable<RawMail> | Iterable<RawMail>, options: PlanOptions): Promise<Plan> {
  const skipped: Plan['skipped'] = {}
  const skip = (reason: SkipReason) => {
    skipped[reason] = (skipped[reason] ?? 0) + 1
  }
  const read: Mail[] = []
  let mails = 0
  for await (const raw of raws) {
    const parsed = await parseMail(raw)
    mails++
    options.onProgress?.(mails)
    if ('skip' in parsed) skip(parsed.skip)
    else read.push(parsed.mail)
  }
  read.sort((a, b) => a.date - b.date || (a.key < b.key ? -1 : 1))
  const seen = new Set<string>()
  const kept = read.filter((mail) => {
    const twice = seenBefore(seen, mail)
    if (twice) skip('same mail twice')
    return !twice
  })
  const userOf = createSenders(kept, options.hash)
  return { ...build(kept.slice(0, options.limit), userOf, options.hash), mails, skipped }
}

function seenBefore(seen: Set<string>, mail: Mail): boolean {
  const body = createHash('sha256').update(`${mail.address}\n${mail.subject}\n${mail.text}`).digest('base64')
  const marks = [`body ${body}`, ...(mail.messageId === '' ? [] : [`id ${mail.messageId}`])]
  const twice = marks.some((mark) => seen.has(mark))
  for (const mark of marks) seen.add(mark)
  return twice
}

function build(mails: readonly Mail[], userOf: (mail: Mail) => PlannedUser, hash: PlanOptions['hash']) {
  const users = new Map<string, PlannedUser>()
  const follows = new Map<string, PlannedFollow>()
  const posts: PlannedPost[] = []
  const comments: PlannedComment[] = []
  const tags = new Set<string>()
  const shortened = { posts: 0, comments: 0 }
  for (const { mail, root, answered } of placeInThreads(mails)) {
    const user = userOf(mail)
    users.set(user.key, user)
    const text = hideAddresses(mail.text, hash)
    if (root === mail) {
      const title = cut(hideAddresses(mail.subject, hash), TITLE_CHARS)
      const mine = tagsOf(mail)
      for (const tag of mine) tags.add(tag)
      if (text.length > POST_CHARS) shortened.posts++
      posts.push({
        key: mail.key,
        user: user.key,
        ...(title === '' ? {} : { title }),
        text: cut(text, POST_CHARS),
        tags: mine,
        date: mail.date
      })
    } else {
      if (text.length > COMMENT_CHARS) shortened.comments++
      comments.push({ key: mail.key, user: user.key, post: root.key, text: cut(text, COMMENT_CHARS), date: mail.date })
    }
    const other = answered === undefined ? user : userOf(answered)
    if (other !== user) follows.set(`${user.key} ${other.key}`, { user: user.key, follows: other.key })
  }
  return {
    users: [...users.values()],
    follows: [...follows.values()],
    posts,
    comments,
    tags: tags.size,
    cut: shortened
  }
}

/** The sender's domain and the mailing list. */
function tagsOf(mail: Mail): string[] {
  const domains = [mail.address.slice(mail.address.indexOf('@') + 1), mail.list ?? '']
  return [...new Set(domains.map(tagFrom).filter((tag) => tag !== undefined))]
}
