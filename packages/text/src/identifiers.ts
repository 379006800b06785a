import { domainToASCII, domainToUnicode } from 'node:url'
import { hasControl, normal, trim, withoutAnyInvisible, withoutInvisible } from './characters.ts'
import type { Fault } from './fault.ts'

const EMAIL: Fault = { code: 'email', message: 'must be an email address' }
const DOMAIN: Fault = { code: 'email_domain', message: 'must have the name of a domain after the @' }
const EMAIL_MAX = 254
/** What no key can be of: longer ones are not normalised. No address, name or domain is as long. */
const KEY_MAX = 2_000

/**
 * What was typed as an email address or username, as a keyboard may have written it: without white space around it and characters that nobody
 * sees, full-width letters and signs as plain ones (NFKC). What is too long for either is left as it is, for a check of its length to refuse.
 */
export function tidy(typed: string): string {
  if (typed.length > KEY_MAX) return typed
  return trim(normal(withoutInvisible(trim(typed)), 'NFKC').replaceAll('\u3002', '.'))
}

/**
 * An email address as it is kept: tidied, its case and the script of its domain as they were typed. A fault for what is none, and for a domain
 * that UTS #46 does not take (non-transitional, with its rules for joiners and right-to-left labels).
 */
export function email(typed: string): string | Fault {
  const address = tidy(typed)
  const [local = '', domain = '', ...more] = address.split('@')
  if (address.length > EMAIL_MAX || local === '' || domain === '' || more.length > 0) return EMAIL
  if (/[\s<>,;"]/.test(address) || hasControl(address)) return EMAIL
  const ascii = domainKey(domain)
  return ascii === undefined ? DOMAIN : `${local}@${withoutRoot(domain)}`
}

/**
 * What two email addresses are one account by: the part before the @ in NFKC and lower case without anything invisible, the domain as ASCII
 * (`münchen.example` is `xn--mnchen-3ya.example`). What is no address has a key too, which no address has.
 */
export function emailKey(typed: string): string {
  const address = tidy(typed)
  const at = address.lastIndexOf('@')
  const domain = at < 0 ? undefined : domainKey(address.slice(at + 1))
  return domain === undefined ? folded(address) : `${folded(address.slice(0, at))}@${domain}`
}

/** What two usernames are one by. */
export function usernameKey(typed: string): string {
  return folded(tidy(typed))
}

/** What somebody signs in with: an email address when it has an @, which no username can have. */
export function loginKey(typed: string): { kind: 'email' | 'username'; key: string } {
  const kind = tidy(typed).includes('@') ? 'email' : 'username'
  return { kind, key: kind === 'email' ? emailKey(typed) : usernameKey(typed) }
}

/**
 * All keys that an address may be found under, the closest to what was typed first: as it was typed, in NFC and lower case (the key that was made
 * before this package), its key of today, and that with its domain in its own script.
 */
export function emailForms(typed: string): string[] {
  const plain = normal(typed, 'NFC').toLowerCase()
  const key = emailKey(typed)
  const at = key.lastIndexOf('@')
  const domain = at < 0 ? '' : domainToUnicode(key.slice(at + 1))
  return [...new Set([plain, key, ...(domain === '' ? [] : [`${key.slice(0, at)}@${domain}`])])]
}

function folded(name: string): string {
  if (name.length > KEY_MAX) return name
  const lower = normal(withoutAnyInvisible(name), 'NFKC').toLowerCase()
  return normal(lower, 'NFKC')
}

/** What the URL Standard would read as something else than a part of a name: ports, paths, escapes, IPv6. */
const NOT_A_NAME = /[\p{Cc}\p{White_Space}"#%/:<>?@[\\\]^`{|}~,;]/u

/** A domain in ASCII and lower case without the dot of the root; undefined when it is none. */
function domainKey(typed: string): string | undefined {
  if (typed.length > EMAIL_MAX || NOT_A_NAME.test(typed)) return undefined
  const name = withoutRoot(domainToASCII(typed))
  const labels = name.split('.')
  const fits = name.length <= 253 && labels.length > 1 && labels.every((label) => label !== '' && label.length <= 63)
  // The URL Standard reads a name that ends in digits as an IPv4 address.
  return fits && !/^\d+$/.test(labels.at(-1)!) ? name : undefined
}

/** Some keyboards write a dot after two spaces. */
function withoutRoot(domain: string): string {
  return domain.replace(/\.$/, '')
}
