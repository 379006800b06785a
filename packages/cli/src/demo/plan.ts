import { createHash } from 'node:crypto'
import { type Mail, type MailHead, parseHead, parseText, type RawMail, type SkipReason } from './mail.ts'
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
  /** Mails that there are. */
  mails: number
  /** Mails left out, of those that were read for it. */
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

/**
 * Turns mails into users, follows, posts and comments. The same mails always give the same plan, and the plan of the first ones is the
 * beginning of the plan of all: who the senders are is decided over every header. Texts are read only of the mails that are in it.
 */
export async function planDemo(raws: AsyncIterable<RawMail> | Iterable<RawMail>, options: PlanOptions): Promise<Plan> {
  const { limit = Number.POSITIVE_INFINITY } = options
  const skipped: Plan['skipped'] = {}
  const skip = (reason: SkipReason) => {
    skipped[reason] = (skipped[reason] ?? 0) + 1
  }
  const heads: { head: MailHead; raw: Uint8Array }[] = []
  let mails = 0
  for await (const raw of raws) {
    const parsed = await parseHead(raw)
    mails++
    options.onProgress?.(mails)
    if ('skip' in parsed) skip(parsed.skip)
    else heads.push({ head: parsed.head, raw: raw.raw })
  }
  heads.sort((a, b) => a.head.date - b.head.date || (a.head.key < b.head.key ? -1 : 1))
  const seen = new Set<string>()
  const kept: Mail[] = []
  for (const { head, raw } of heads) {
    if (kept.length >= limit) break
    const parsed = await parseText(head, raw)
    if ('skip' in parsed) skip(parsed.skip)
    else if (seenBefore(seen, parsed.mail)) skip('same mail twice')
    else kept.push(parsed.mail)
  }
  const userOf = createSenders(
    heads.map(({ head }) => head),
    options.hash
  )
  return { ...build(kept, userOf, options.hash), mails, skipped }
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
