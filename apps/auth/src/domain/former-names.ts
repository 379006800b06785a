import { FORMER_NAMES_PAGE, type FormerName, type FormerNamesPage } from '@skerry/events'
import type { Store } from '@skerry/store'
import { emailKey, usernameKey } from '@skerry/text'
import { emails, findHolders, findReservations, usernames } from '../data/reservations.ts'

const KINDS = {
  email: { names: emails, keyOf: emailKey },
  username: { names: usernames, keyOf: usernameKey }
} as const

/** Names looked at for one page: making their keys keeps the event loop for some milliseconds. */
const LOOKED = 500

/**
 * Email addresses and usernames that are reserved in a form from before, with who has their form of today. `after` is `next` of the page before:
 * the kind, and the last name that was looked at.
 */
export async function findFormerNames(store: Store, after: string | undefined): Promise<FormerNamesPage> {
  const [, kind = 'email', last = ''] = /^(email|username) (.*)$/su.exec(after ?? '') ?? []
  const { names, keyOf } = KINDS[kind as keyof typeof KINDS]
  const found = await findReservations(store, names, last, LOOKED)
  const former: { stored: string; form: string; userId: string }[] = []
  let looked = 0
  for (const { _id: stored, userId } of found) {
    if (former.length === FORMER_NAMES_PAGE) break
    looked++
    const form = keyOf(stored)
    if (form !== stored) former.push({ stored, form, userId })
  }
  const holders = await findHolders(
    store,
    names,
    former.map(({ form }) => form)
  )
  const items = former.map(({ stored, form, userId }): FormerName => {
    const holder = holders.get(form)
    return { kind, stored, form, ids: [userId], holders: holder === undefined ? [] : [holder] }
  })
  const ended = looked === found.length && found.length < LOOKED
  const next = ended ? (kind === 'email' ? 'username ' : null) : `${kind} ${found[looked - 1]!._id}`
  return { items, looked, next }
}
