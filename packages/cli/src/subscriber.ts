import { readSecrets, StartError, SUBSCRIBER } from '@skerry/stores'
import { homeFolder } from './repository.ts'
import { readRunFile } from './up/status.ts'

/** Prints where a subscriber finds the system that runs in this home, and as whom it signs in, as lines for a shell. */
export async function subscriber(env: NodeJS.ProcessEnv = process.env): Promise<number> {
  const home = homeFolder(env)
  const { gateway, processes } = await readRunFile(home)
  const nats = processes.find(({ name }) => name === 'nats-server')?.url
  const password = (await readSecrets(home))?.apps[SUBSCRIBER]
  if (nats === undefined || password === undefined)
    throw new StartError(
      `${home} runs no nats-server of its own: make a user there with the rights that infra/stores/src/subscriber.ts lists`
    )
  const variables = { SKERRY_URL: gateway, NATS_URL: `nats://${nats}`, NATS_USER: SUBSCRIBER, NATS_PASSWORD: password }
  // Addresses, and a password of base64url: nothing that a shell would read otherwise within quotes.
  for (const [name, value] of Object.entries(variables)) process.stdout.write(`export ${name}='${value}'\n`)
  return 0
}
