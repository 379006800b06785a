import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type System, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { findApps } from '../../src/repository.ts'
import { runCli } from '../helpers/cli.ts'

/** The rules of a service are seen and changed, and the gateway learns them. */
export async function traffic(t: Test, system: System): Promise<void> {
  const env = { SKERRY_HOME: system.home }
  const told = async (...args: string[]) => {
    const { code, out, errors } = await runCli(['traffic', ...args], env)
    t.equal(errors, '')
    t.equal(code, 0)
    return out
  }
  const versionOf = (service: string) => findApps().find(({ name }) => name === service)?.version
  const instances = { auth: 1, content: 2, realtime: 1, users: 1 }
  for (const [service, count] of Object.entries(instances))
    t.match(await told(service), new RegExp(`^service .*\n${service} +${versionOf(service)} +${count} +100 % +-\n$`))
  t.match(await told('content', '9.9.9=5%'), /^content +9\.9\.9 +none +- +- +weight 5 %$/m)
  t.match(await told('content', '--header', 'x-tester=9.9.9'), /^content +9\.9\.9 .* weight 5 %, header x-tester$/m)
  t.match(await told(), /^content +9\.9\.9 .* weight 5 %, header x-tester$/m)
  const log = () => readFile(join(system.home, 'logs', 'gateway-1.log'), 'utf8')
  await waitFor(
    async () => /"rules":\{"weights":\{"9\.9\.9":5\},"headers":\{"x-tester":"9\.9\.9"\}\}/.test(await log()),
    {
      message: 'the gateway has learned the rules'
    }
  )
  t.notMatch(await told('content', '--reset'), /9\.9\.9/)
  t.match(await runCli(['traffic', 'content', '9.9.9=500%'], env), {
    code: 1,
    errors: /^skerry: 9\.9\.9=500% does not fit/
  })
}
