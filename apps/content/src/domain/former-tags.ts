import { FORMER_NAMES_PAGE, type FormerName, type FormerNamesPage } from '@skerry/events'
import type { Store } from '@skerry/store'
import { tag as tagKey } from '@skerry/text'
import { findTagAfter, findTagged } from '../data/tagged.ts'

/** Tags looked at for one page: each is a read. */
const LOOKED = 200
/** Posts that are named of each. */
const NAMED = 3

/** Tags that posts carry in a form from before, with some of the posts, and some of those that carry the form of today. */
export async function findFormerTags(store: Store, after: string | undefined): Promise<FormerNamesPage> {
  const items: FormerName[] = []
  const postsWith = async (tag: string) =>
    (await findTagged(store, [tag], { before: undefined, limit: NAMED })).map(({ postId }) => postId)
  let last = after
  for (let looked = 0; looked < LOOKED && items.length < FORMER_NAMES_PAGE; looked++) {
    const stored = await findTagAfter(store, last)
    if (stored === undefined) return { items, looked, next: null }
    last = stored
    const form = tagKey(stored)
    // What no post could carry today is one with nothing.
    if (typeof form !== 'string' || form === stored) continue
    items.push({ kind: 'tag', stored, form, ids: await postsWith(stored), holders: await postsWith(form) })
  }
  return { items, looked: LOOKED, next: last ?? null }
}
