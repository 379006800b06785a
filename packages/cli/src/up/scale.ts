import { type App, StartError } from '@skerry/stores'

const MOST = 100

/**
 * The apps with as many instances as `--scale` says. `3` is for every service, `content=3` for one; the later of two that name the same
 * holds, and one that names a service holds before one that is for all. The gateway has the one public port, so it is one.
 *
 * @throws StartError for a value that is neither, for a name that is no service which starts, for a number that is not 1 to 100
 */
export function scaled(apps: readonly App[], values: readonly string[]): App[] {
  const services = apps.filter((app) => app.kind === 'service')
  let all: number | undefined
  const named = new Map<string, number>()
  for (const value of values) {
    const [, name, digits = ''] = /^(?:([^=]*)=)?(\d{1,4})$/.exec(value) ?? []
    const count = Number(digits)
    if (digits === '' || count < 1 || count > MOST)
      throw new StartError(
        `--scale takes a number from 1 to ${MOST}, or SERVICE=NUMBER as content=3; it was given "${value}"`
      )
    if (name === undefined) all = count
    else if (services.some((app) => app.name === name)) named.set(name, count)
    else
      throw new StartError(
        `--scale ${value}: no service "${name}" starts; it takes ${services.map((app) => app.name).join(', ')}`
      )
  }
  return apps.map((app) =>
    app.kind === 'gateway' ? app : { ...app, instances: named.get(app.name) ?? all ?? app.instances }
  )
}
