import { type Batch, createBatch, createTurns, type Store, type Turns } from '@skerry/store'
import { findProfiles, type ProfileDocument } from '../data/profiles.ts'

/** What the domain works with. */
export type Deps = {
  store: Store
  /** Writers of one profile's counts take turns. */
  turns: Turns
  /** Profiles by id, as they are now: what requests ask for in one turn of the event loop is read together. */
  profiles: Batch<ProfileDocument>
}

const QUERY_MAX = 500

export function createDeps(store: Store): Deps {
  return { store, turns: createTurns(), profiles: createBatch((ids) => findProfiles(store, ids), QUERY_MAX) }
}

/** The part of a caller that the domain looks at: what the token says of its user. */
export type Person = { readonly userId: string; readonly username: string; readonly displayName: string }
