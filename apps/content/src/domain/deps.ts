import type { Store, Turns } from '@skerry/store'
import type { FeedConfig, TrendsConfig } from '../config.ts'
import type { AnyMerged } from './any-merged.ts'
import type { AuthorNames } from './author-names.ts'
import type { KnownFollowers } from './known-followers.ts'
import type { Reads } from './reads.ts'

/** What the domain works with. */
export type Deps = {
  store: Store
  authors: AuthorNames
  reads: Reads
  /** Writers of one post take turns. */
  turns: Turns
  anyMerged: AnyMerged
  knownFollowers: KnownFollowers
  feeds: FeedConfig
  trends: TrendsConfig
  /** Epoch milliseconds. */
  now(): number
}
