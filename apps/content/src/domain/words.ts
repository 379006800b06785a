import { type BodyOf, type contentRoutes, SkerryError } from '@skerry/contracts'
import { isFault, line, tag, tags, taken, text, trim, withNfc } from '@skerry/text'

type Words = Partial<Pick<BodyOf<typeof contentRoutes.updatePost>, 'text' | 'title' | 'summary' | 'tags'>>

/** What somebody wrote in a post as it is kept (`@skerry/text`); what was not sent stays away. Throws BAD_REQUEST with each member that cannot be. */
export function wordsOf(written: Words): Words {
  const lineOf = (words: string | null | undefined) => (typeof words === 'string' ? line(words) : words)
  const { tags: keys, faults } = tags(written.tags ?? [])
  const kept = taken('body', {
    text: written.text === undefined ? undefined : text(written.text),
    title: lineOf(written.title),
    summary: lineOf(written.summary),
    ...Object.fromEntries(Object.entries(faults).map(([i, fault]) => [`tags.${i}`, fault]))
  })
  const { text: words, title, summary } = kept
  return {
    ...(words === undefined ? {} : { text: words }),
    ...(title === undefined ? {} : { title }),
    ...(summary === undefined ? {} : { summary }),
    ...(written.tags === undefined ? {} : { tags: keys })
  }
}

/** A comment's text as it is kept. Throws BAD_REQUEST. */
export function commentText(typed: string): string {
  return taken('body', { text: text(typed) }).text
}

/**
 * What posts with a tag carry: its key, and the tag as it was asked for where posts from before tags were keys may carry that. Throws BAD_REQUEST
 * for what no post can carry.
 */
export function tagForms(asked: string): [string, ...string[]] {
  const key = tag(asked)
  if (!isFault(key)) return key === asked ? [key] : [key, asked]
  throw new SkerryError('BAD_REQUEST', { errors: [{ path: 'query.tag', code: key.code, message: key.message }] })
}

/**
 * A body or query whose words are in NFC, and whose tags have no white space around them, as keyboards add it. What is none stays, for the
 * contract's check to refuse.
 */
export function withTidyWords(given: unknown): unknown {
  const input = withNfc(given, ['text', 'title', 'summary', 'tags', 'tag'])
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input
  const { tags: list, tag: one } = input as { tags?: unknown; tag?: unknown }
  return {
    ...input,
    ...(Array.isArray(list) ? { tags: list.map((entry) => (typeof entry === 'string' ? trim(entry) : entry)) } : {}),
    ...(typeof one === 'string' ? { tag: trim(one) } : {})
  }
}
