import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StoreApp } from '../apps.ts'
import { REPLICA_SET } from '../mongod.ts'
import { natsConfig } from '../nats.ts'
import { redisAcl } from '../redis.ts'
import { loadSecrets, type Secrets } from '../secrets.ts'
import { SUBSCRIBER } from '../subscriber.ts'

/**
 * Writes what each container of docker-compose.yml reads, with the same permissions as `npm start` gives: `mongo/key`, `nats/nats.json`,
 * `redis/redis.acl`, and `<app>/env` with the app's own credentials.
 *
 * @param options `mongoUid`: whose the key file must be, since mongod refuses one that others can read
 */
export async function writeConfig(
  folder: string,
  apps: readonly StoreApp[],
  options: { mongoUid?: number } = {}
): Promise<Secrets> {
  const names = apps.map((a) => a.name)
  for (const name of ['secrets', 'mongo', 'nats', 'redis', ...names])
    await mkdir(join(folder, name), { recursive: true })
  const secrets = await loadSecrets(join(folder, 'secrets'), [...names, SUBSCRIBER])
  const nats = natsConfig({
    ...{ home: folder, secrets, apps, port: 4222, host: '0.0.0.0', storeDir: '/data', testAccounts: 0 }
  })
  // Each folder is mounted into its one container, whose user is not this one.
  await writeFile(join(folder, 'nats', 'nats.json'), nats)
  await writeFile(join(folder, 'redis', 'redis.acl'), redisAcl(secrets, names))
  await writeFile(join(folder, 'mongo', 'root-password'), secrets.mongoRoot)
  const key = join(folder, 'mongo', 'key')
  await writeFile(key, secrets.mongoKey, { mode: 0o600 })
  if (options.mongoUid !== undefined) await chown(key, options.mongoUid, options.mongoUid)
  for (const app of apps) await writeFile(join(folder, app.name, 'env'), envFile(composeEnv(app, secrets)))
  return secrets
}

/** The URL of a MongoDB user, by the name its container has. */
export function composeMongoUrl(user: string, password: string): string {
  return `mongodb://${user}:${password}@mongo:27017/?replicaSet=${REPLICA_SET}&authSource=admin`
}

/** The environment that an app needs to reach its own stores, and nothing of another's. */
function composeEnv({ name, database }: StoreApp, secrets: Secrets): Record<string, string> {
  const password = secrets.apps[name] ?? ''
  return {
    NATS_URL: 'nats://nats:4222',
    NATS_USER: name,
    NATS_PASSWORD: password,
    REDIS_URL: `redis://${name}:${password}@redis:6379`,
    REDIS_PREFIX: `${name}:`,
    ...(database === undefined ? {} : { MONGO_URL: composeMongoUrl(name, password), MONGO_DATABASE: database }),
    ...(name === 'auth' ? { AUTH_SIGNING_KEY: JSON.stringify(secrets.authSigningKey) } : {})
  }
}

/** As Node's `--env-file` reads it; no value has a quote of this kind. */
function envFile(env: Record<string, string>): string {
  return Object.entries(env)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join('')
}
