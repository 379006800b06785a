import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from './faults.ts'

/** All that is generated once for a home and never leaves it. */
export type Secrets = {
  version: 1
  /** Content of mongod's key file. */
  mongoKey: string
  mongoRoot: string
  natsAdmin: string
  redisAdmin: string
  /** Ed25519 private key, JWK. */
  authSigningKey: Record<string, unknown>
  /** A password for each app, used for all of its stores. */
  apps: Record<string, string>
}

const password = () => randomBytes(24).toString('base64url')

/** Reads `secrets.json` of a home, makes it when there is none, and adds a password for each app that is new. */
export async function loadSecrets(home: string, apps: readonly string[]): Promise<Secrets> {
  const path = join(home, 'secrets.json')
  const secrets = (await read(path)) ?? {
    version: 1,
    mongoKey: randomBytes(96).toString('base64'),
    mongoRoot: password(),
    natsAdmin: password(),
    redisAdmin: password(),
    authSigningKey: generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as Record<string, unknown>,
    apps: {}
  }
  for (const app of apps) secrets.apps[app] ??= password()
  const temporary = `${path}.${process.pid}`
  try {
    await writeFile(temporary, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new StartError(`${path} cannot be written: ${(error as Error).message}`)
  }
  return secrets
}

/** The secrets of a home that has run before; undefined where none has. */
export function readSecrets(home: string): Promise<Secrets | undefined> {
  return read(join(home, 'secrets.json'))
}

async function read(path: string): Promise<Secrets | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new StartError(`${path} cannot be read: ${(error as Error).message}`)
  }
  try {
    const secrets = JSON.parse(text) as Secrets
    const whole =
      secrets.version === 1 &&
      secrets.mongoKey &&
      secrets.mongoRoot &&
      secrets.natsAdmin &&
      secrets.redisAdmin &&
      secrets.authSigningKey &&
      secrets.apps
    if (!whole) throw new Error('a member is missing')
    return secrets
  } catch (error) {
    throw new StartError(
      `${path} is broken (${(error as Error).message}): restore it from a backup, or delete its folder to begin with empty stores`
    )
  }
}
