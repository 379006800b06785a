import type { Store } from '@skerry/store'
import type { Api } from '../api.ts'
import type { Config } from '../config.ts'

/** The bounds of config that the domain keeps. */
export type Limits = Pick<
  Config,
  | 'TOKEN_TTL_S'
  | 'PAGE_MAX'
  | 'OFFSET_MAX'
  | 'COUNT_MAX'
  | 'FEED_AUTHORS'
  | 'FAVORITES_LISTED'
  | 'TAGS_FROM'
  | 'TAGS_LISTED'
  | 'COMMENTS_LISTED'
>

/** What the domain works with; `now` is in milliseconds since 1970. */
export type Deps = { store: Store; api: Api; limits: Limits; now: () => number }
