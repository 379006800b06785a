import type { Store, Turns } from '@skerry/store'

/** What the domain works with. */
export type Deps = {
  store: Store
  /** Writers of one profile's counts take turns. */
  turns: Turns
}

/** The part of a caller that the domain looks at: what the token says of its user. */
export type Person = { readonly userId: string; readonly username: string; readonly displayName: string }
