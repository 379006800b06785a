/** The part of a caller that the domain looks at. */
export type Person = { readonly userId: string; readonly username: string; readonly displayName: string }
