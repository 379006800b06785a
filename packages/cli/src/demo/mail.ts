import PostalMime, { type Email } from 'postal-mime'
import { cleanLine, cleanText, htmlToText } from './text.ts'

/** A mail as it lies in the corpus. `key` is its place there (`easy-ham-1/00001`), the same in every run. */
export type RawMail = { key: string; raw: Uint8Array }

/** What a post or comment is made of. */
export type Mail = {
  key: string
  messageId: string
  /** Lower case. */
  address: string
  /** As it was written, cleaned; may be empty. */
  name: string
  subject: string
  text: string
  /** Milliseconds since 1970. */
  date: number
  /** Message ids it answers, the direct one first. */
  answers: string[]
  /** The mailing list it came through (`ilug.linux.ie`), or undefined. */
  list: string | undefined
}

/** Why a mail is left out. */
export type SkipReason = 'unreadable' | 'no sender' | 'no date' | 'no text' | 'same mail twice'

export type ParsedMail = { mail: Mail } | { skip: SkipReason }

const WEEK_MS = 7 * 24 * 3600 * 1000
const MAX_BYTES = 5_000_000

/** What the header alone says of a mail: enough to know who wrote when, at an eighth of the cost of its text. */
export type MailHead = Omit<Mail, 'text'>

/** Reads a mail's header, however it is encoded. Never throws. */
export async function parseHead({ key, raw }: RawMail): Promise<{ head: MailHead } | { skip: SkipReason }> {
  if (raw.length > MAX_BYTES) return { skip: 'unreadable' }
  const email = await parse(headerOf(withoutEnvelope(raw)))
  if (email === undefined) return { skip: 'unreadable' }
  const address = (email.from?.address ?? '').trim().toLowerCase()
  if (!/^[^\s@]+@[^\s@]+$/.test(address)) return { skip: 'no sender' }
  const date = dateOf(email, raw)
  if (date === undefined) return { skip: 'no date' }
  const header = (name: string) => email.headers.find((h) => h.key === name)?.value ?? ''
  return {
    head: {
      key,
      messageId: ids(email.messageId)[0] ?? '',
      address,
      name: cleanLine(email.from?.name ?? ''),
      subject: cleanLine(email.subject ?? ''),
      date,
      answers: [...new Set([...ids(email.inReplyTo), ...ids(email.references).reverse()])],
      list: /<([a-z0-9.-]+)>\s*$/i.exec(header('list-id'))?.[1]?.toLowerCase()
    }
  }
}

/** Reads the text of a mail whose header is known. Never throws. */
export async function parseText(head: MailHead, raw: Uint8Array): Promise<ParsedMail> {
  const email = await parse(withoutEnvelope(raw))
  if (email === undefined) return { skip: 'unreadable' }
  const text = cleanText(email.text?.trim() ? email.text : htmlToText(email.html ?? ''))
  return text === '' ? { skip: 'no text' } : { mail: { ...head, text } }
}

/** Reads one mail, however it is encoded. Never throws. */
export async function parseMail(mail: RawMail): Promise<ParsedMail> {
  const parsed = await parseHead(mail)
  return 'skip' in parsed ? parsed : parseText(parsed.head, mail.raw)
}

/** Up to and with the first empty line. */
function headerOf(raw: Uint8Array): Uint8Array {
  for (let at = raw.indexOf(10); at >= 0; at = raw.indexOf(10, at + 1)) {
    const next = raw[at + 1] === 13 ? at + 2 : at + 1
    if (raw[next] === 10) return raw.subarray(0, next + 1)
  }
  return raw
}

/** Without the `From someone Thu Aug 22 …` line that mailbox files have. */
function withoutEnvelope(raw: Uint8Array): Uint8Array {
  return hasEnvelope(raw) ? raw.subarray(raw.indexOf(10) + 1) : raw
}

function hasEnvelope(raw: Uint8Array): boolean {
  return Buffer.from(raw.subarray(0, 5)).toString('latin1') === 'From ' && raw.includes(10)
}

/**
 * Many mails of that time hold bytes above 127 without saying in which encoding: where UTF-8 fails they are Windows-1252. Undefined for what
 * cannot be read at all.
 */
async function parse(raw: Uint8Array): Promise<Email | undefined> {
  try {
    const email = await PostalMime.parse(raw)
    const lost = replacements(email)
    if (lost === 0) return email
    const again = await PostalMime.parse(new TextDecoder('windows-1252').decode(raw))
    return replacements(again) < lost ? again : email
  } catch {
    return undefined
  }
}

function replacements(email: Email): number {
  return `${email.from?.name}${email.subject}${email.text ?? email.html ?? ''}`.split('\ufffd').length - 1
}

function ids(header: string | undefined): string[] {
  return (header?.match(/<[^<>\s]+>/g) ?? []).map((id) => id.slice(1, -1))
}

/** The sender's date, unless it is missing or more than a week off the date the first server noted. */
function dateOf(email: Email, raw: Uint8Array): number | undefined {
  const sent = time(email.date)
  const received = receivedOf(email) ?? envelopeDate(raw)
  if (sent === undefined || received === undefined) return sent ?? received
  return Math.abs(sent - received) > WEEK_MS ? received : sent
}

function receivedOf(email: Email): number | undefined {
  const hops = email.headers.filter((h) => h.key === 'received')
  for (const hop of hops.reverse()) {
    const found = time(hop.value.slice(hop.value.lastIndexOf(';') + 1).replace(/\([^)]*\)/g, ''))
    if (found !== undefined) return found
  }
  return undefined
}

function envelopeDate(raw: Uint8Array): number | undefined {
  if (!hasEnvelope(raw)) return undefined
  const line = Buffer.from(raw.subarray(0, raw.indexOf(10))).toString('latin1')
  return time(/^From \S+\s+(.*)$/.exec(line)?.[1])
}

function time(text: string | undefined): number | undefined {
  const ms = Date.parse(text?.trim() ?? '')
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms
}
