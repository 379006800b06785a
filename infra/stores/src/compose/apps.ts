import type { StoreApp } from '../stores.ts'

/** Where compose-init writes, one folder for each container, which mounts its own and no other. */
export const CONFIG = '/config'

/** The apps of the system, from `APPS` (`auth users … gateway`), as compose names them. */
export function composeApps(names = process.env.APPS ?? ''): StoreApp[] {
  const apps = names.split(/\s+/).filter((name) => name !== '')
  if (apps.length === 0) throw new Error('APPS names no app')
  return apps.map((name) =>
    name === 'gateway' ? { name, kind: 'gateway' } : { name, kind: 'service', database: `skerry_${name}` }
  )
}
