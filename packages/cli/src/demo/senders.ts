import type { MailHead } from './mail.ts'
import { createUniqueNames, usernameFrom } from './names.ts'
import { cut, hideAddresses } from './text.ts'

export type PlannedUser = { key: string; email: string; username: string; displayName: string }

const NAME_CHARS = 80
/** An address that goes by this many names is a feed or a list manager: each of its names is a user. */
const SHARED_NAMES = 3

/**
 * Who sent which mail. An address is a user; but people who write from a new address each time (`kevin+dated+1027@…`) are one by their name
 * and domain, and an address that many names share is a user for each. Decided over all mails, so that a limit changes nobody's name.
 * @param hash a short stable code for an address, which must not tell it
 */
export function createSenders(
  mails: readonly MailHead[],
  hash: (address: string) => string
): (mail: MailHead) => PlannedUser {
  const names = countNames(mails)
  const firstAddress = new Map<string, string>()
  const unique = createUniqueNames()
  const users = new Map<string, PlannedUser>()
  const senders = new Map<string, PlannedUser>()

  for (const { address, name } of mails) {
    const mark = `${address}\n${name}`
    if (senders.has(mark)) continue
    const counts = names.get(address) ?? new Map<string, number>()
    const shared = counts.size >= SHARED_NAMES && name !== ''
    const shown = shared ? name : mostUsed(counts)
    const key = hash(shared ? `${address} ${name}` : canonical(address, shown))
    const user = users.get(key) ?? makeUser(key, address, shown)
    users.set(key, user)
    senders.set(mark, user)
  }

  return ({ key, address, name }) => {
    const user = senders.get(`${address}\n${name}`)
    if (user === undefined) throw new Error(`the sender of ${key} is not among the mails`)
    return user
  }

  function canonical(address: string, name: string): string {
    if (name === '') return address
    const person = `${name.toLowerCase()}\n${address.slice(address.indexOf('@') + 1)}`
    const first = firstAddress.get(person) ?? address
    firstAddress.set(person, first)
    return first
  }

  function makeUser(key: string, address: string, name: string): PlannedUser {
    const local = address.slice(0, address.indexOf('@'))
    const hidden = hideAddresses(name, () => local).replaceAll('@demo.invalid', '')
    const shown = cut(hidden.replace(/^["'\s]+|["'\s]+$/g, ''), NAME_CHARS) || cut(local, NAME_CHARS)
    return {
      key,
      email: `${key}@demo.invalid`,
      username: unique(usernameFrom(shown, local)),
      displayName: shown
    }
  }
}

function countNames(mails: readonly MailHead[]): Map<string, Map<string, number>> {
  const names = new Map<string, Map<string, number>>()
  for (const { address, name } of mails) {
    const counts = names.get(address) ?? new Map<string, number>()
    names.set(address, counts)
    if (name !== '') counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return names
}

function mostUsed(counts: ReadonlyMap<string, number>): string {
  let best = ''
  for (const [name, n] of counts) if (n > (counts.get(best) ?? 0)) best = name
  return best
}
