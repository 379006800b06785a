import { connectNats, type Instance, type NatsConnection, watchRegistry } from '@skerry/service'
import { readSecrets, StartError } from '@skerry/stores'
import type { RunEntry } from './up/run-file.ts'

const CONNECT_MS = 5_000

/** Connects as the administrator of this home's NATS, or of the one that NATS_URL names. Fails with one line that says what to do. */
export async function connectAsOperator(
  name: string,
  home: string,
  processes: readonly RunEntry[],
  env: NodeJS.ProcessEnv = process.env
): Promise<NatsConnection> {
  const common = { name, timeoutMs: CONNECT_MS }
  try {
    if (env.NATS_URL) {
      const { protocol, host, username, password } = new URL(env.NATS_URL)
      const user = decodeURIComponent(username)
      return await connectNats({ ...common, url: `${protocol}//${host}`, user, password: decodeURIComponent(password) })
    }
    const address = processes.find((entry) => entry.name === 'nats-server')?.url
    const secrets = await readSecrets(home)
    if (address === undefined || secrets === undefined)
      throw new StartError(
        `${home} runs no nats-server of its own: say NATS_URL, with the user and password of its administrator`
      )
    return await connectNats({ ...common, url: `nats://${address}`, user: 'admin', password: secrets.natsAdmin })
  } catch (error) {
    return asStartError(error)
  }
}

/** Who is in the registry now. */
export async function liveInstances(nc: NatsConnection): Promise<Instance[]> {
  let instances: Instance[] = []
  const watch = await watchRegistry(nc, (all) => {
    instances = all
  })
  await watch.close()
  return instances
}

/** Rethrows as what is told in one line. */
export function asStartError(error: unknown): never {
  throw error instanceof StartError ? error : new StartError((error as Error).message, { cause: error })
}
