import { useNames } from './names.ts'
import type { Store } from './store.ts'

/** The same database, pool and transactions, where some collections have other names. */
export function storeWith(store: Store, names: Readonly<Record<string, string>>): Store {
  const db = store.client.db(store.db.databaseName)
  useNames(db, names)
  return { ...store, db }
}
