import { ensureBuckets, openTraffic } from '@skerry/service'
import { asStartError, connectAsOperator, liveInstances } from '../operator.ts'
import { homeFolder } from '../repository.ts'
import type { RunEntry } from '../up/run-file.ts'
import { readRunFile } from '../up/status.ts'
import { parseTraffic, type TrafficOptions } from './parse.ts'
import { countsOf, report } from './report.ts'

const CONNECT_MS = 5_000
const METRICS_MS = 2_000

/** Changes how requests are spread over the versions of a service, if the arguments say so, and prints how they are. */
export async function traffic(args: readonly string[], options: TrafficOptions): Promise<number> {
  const { service, change } = parseTraffic(args, options)
  const home = homeFolder(process.env)
  const { processes } = await readRunFile(home)
  const nc = await connectAsOperator('skerry traffic', home, processes)
  try {
    await ensureBuckets(nc, { timeoutMs: CONNECT_MS })
    const store = await openTraffic(nc)
    if (service !== undefined && change !== undefined) await store.change(service, change).catch(asStartError)
    const [instances, rules, metrics] = await Promise.all([liveInstances(nc), store.all(), metricsOf(processes)])
    const wanted = <T extends { service: string }>(list: readonly T[]) =>
      service === undefined ? list : list.filter((one) => one.service === service)
    process.stdout.write(`${report(wanted(instances), wanted(rules), countsOf(metrics))}\n`)
    return 0
  } finally {
    await nc.close()
  }
}

/** What each gateway of this home counts; one that does not answer just now counts nothing. */
function metricsOf(processes: readonly RunEntry[]): Promise<string[]> {
  const gateways = processes.filter(({ name, ops }) => name === 'gateway' && ops !== null)
  return Promise.all(
    gateways.map(({ ops }) =>
      fetch(`${ops}/metrics`, { signal: AbortSignal.timeout(METRICS_MS) }).then(
        (response) => response.text(),
        () => ''
      )
    )
  )
}
