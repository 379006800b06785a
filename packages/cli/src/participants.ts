import { ensureBuckets, listParticipants, type NatsConnection, withdrawParticipant } from '@skerry/service'
import { StartError } from '@skerry/stores'
import { connectAsOperator, liveInstances } from './operator.ts'
import { homeFolder } from './repository.ts'
import { readRunFile } from './up/status.ts'
import { table } from './up/table.ts'

/** `ls`: which services deletions and exports of accounts wait for. `withdraw NAME`: no longer for one that is gone for good. */
export async function participants([what = 'ls', name, ...more]: readonly string[]): Promise<number> {
  if ((what !== 'ls' && what !== 'withdraw') || more.length > 0 || (what === 'ls') !== (name === undefined))
    throw new StartError('say what to do: ./skerry participants ls | withdraw NAME')
  const home = homeFolder(process.env)
  const { processes } = process.env.NATS_URL ? { processes: [] } : await readRunFile(home)
  const nc = await connectAsOperator('skerry participants', home, processes)
  try {
    await ensureBuckets(nc)
    const line = name === undefined ? await list(nc) : await withdraw(nc, name)
    process.stdout.write(`${line}\n`)
    return 0
  } finally {
    await nc.close()
  }
}

async function list(nc: NatsConnection): Promise<string> {
  const [found, instances] = await Promise.all([listParticipants(nc), liveInstances(nc)])
  if (found.length === 0) return 'no service takes part'
  const rows = found.map(({ service, declaredAt }) => {
    const running = instances.filter((one) => one.service === service).length
    return [service, declaredAt.toISOString(), running === 0 ? 'none' : String(running)]
  })
  return table([['service', 'declared', 'instances'], ...rows])
}

async function withdraw(nc: NatsConnection, name: string): Promise<string> {
  if (!/^[a-z]+$/.test(name))
    throw new StartError(`${name} is not the name of a service. See: ./skerry participants ls`)
  const [found, instances] = await Promise.all([listParticipants(nc), liveInstances(nc)])
  const names = found.map(({ service }) => service)
  // It would go on to hear of erasures, and nobody would wait until it has done them.
  if (names.includes(name) && instances.some(({ service }) => service === name))
    throw new StartError(`${name} runs and takes part: stop it first. See: ./skerry status`)
  await withdrawParticipant(nc, name)
  if (names.includes(name)) return `deletions and exports no longer wait for ${name}, until it starts again`
  // NATS may have lost what auth remembers.
  return `${name} is not among those who have declared themselves (${names.join(', ') || 'nobody'}); should auth remember it, it waits no longer`
}
