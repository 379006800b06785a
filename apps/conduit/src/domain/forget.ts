import { type Store, transaction } from '@skerry/store'
import { buryPerson } from '../data/people.ts'
import { deleteRelations, favorites, findTargets, follows, type Relations } from '../data/relations.ts'
import { forgetRelation } from './model.ts'

const PAGE = 100

/**
 * Takes somebody whose account has ended from the read model, with what they liked and whom they followed. What they wrote goes with the events
 * of their posts and comments. Harmless when repeated.
 */
export async function forgetPerson(store: Store, userId: string): Promise<{ favorites: number; follows: number }> {
  await buryPerson(store, userId)
  return {
    favorites: await forgetRelations(store, favorites, userId),
    follows: await forgetRelations(store, follows, userId)
  }
}

/** One by one, so that the counts of others stay right. Resolves with how many held. */
async function forgetRelations(store: Store, kind: Relations, from: string): Promise<number> {
  for (let gone = 0; ; ) {
    const held = await findTargets(store, kind, from, PAGE)
    for (const to of held) await transaction(store, {}, (tx) => forgetRelation(store, kind, tx, { from, to }))
    gone += held.length
    if (held.length > 0) continue
    await deleteRelations(store, kind, from)
    return gone
  }
}
