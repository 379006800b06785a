import type { Db } from 'mongodb'

/** Names of collections that differ from the declared ones, by view of a database. */
const views = new WeakMap<Db, Map<string, string>>()

const GENERATION = /--r\d+$/

/** What generation `n` of something is called: the first has the plain name. Used for collections and for the consumers that fill them. */
export function generationName(name: string, generation: number): string {
  return generation === 1 ? name : `${name}--r${generation}`
}

/** The name without its generation. */
export function plainName(name: string): string {
  return name.replace(GENERATION, '')
}

/** Under which name a view of a database stores a declared collection. */
export function storedName(db: Db, name: string): string {
  return views.get(db)?.get(name) ?? name
}

/** From now on `collectionOf(db, …)` of this view gives these collections, by declared name; others stay as they are. */
export function useNames(db: Db, names: Readonly<Record<string, string>>): void {
  const view = views.get(db) ?? new Map<string, string>()
  views.set(db, view)
  for (const [declared, stored] of Object.entries(names)) view.set(declared, stored)
}
