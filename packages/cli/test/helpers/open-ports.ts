import { readdir, readFile, readlink } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { System } from '@skerry/testing'
import type { Test } from 'tap'
import { runCli } from './cli.ts'

/** Addresses that a process listens on, as /proc has them: `127.0.0.1:80`, `::1:80` and so on. */
async function listensOn(pid: number): Promise<string[]> {
  const files = await readdir(`/proc/${pid}/fd`)
  const links = await Promise.all(files.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  const inodes = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
  const found: string[] = []
  for (const table of ['tcp', 'tcp6']) {
    const rows = (await readFile(`/proc/${pid}/net/${table}`, 'utf8')).trim().split('\n').slice(1)
    for (const row of rows) {
      const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/\s+/)
      const [address = '', port = ''] = local.split(':')
      if (state === '0A' && inodes.has(inode)) found.push(`${KNOWN[address] ?? address}:${Number.parseInt(port, 16)}`)
    }
  }
  return found
}

const KNOWN: Record<string, string> = {
  '0100007F': '127.0.0.1',
  '00000000': '0.0.0.0',
  '00000000000000000000000000000000': '::',
  '00000000000000000000000001000000': '::1'
}

/** What a shell may hold that is not meant for a part of the system. */
export const NOT_PASSED_ON = { OPS_PORT: '9', ADVERTISE_URL: 'http://elsewhere' }

/** Of a system that was started with this `HOST` and `NOT_PASSED_ON`: the public port alone is to be reached from elsewhere, and its addresses are printed. */
export async function isOpenAt(t: Test, system: System, HOST: '0.0.0.0' | '::'): Promise<void> {
  const { gateway, processes } = await system.run()
  t.match(gateway, /^http:\/\/127\.0\.0\.1:\d+$/, 'its address for this machine')
  const port = Number(new URL(gateway).port)
  for (const { name, instance, pid } of processes) {
    const open = (await listensOn(pid)).filter((address) => !address.startsWith('127.0.0.1:'))
    t.same(open, name === 'gateway' ? [`${HOST}:${port}`] : [], `${name} ${instance}`)
  }
  t.equal((await fetch(`${gateway}/docs`)).status, 200)
  const outside = Object.values(networkInterfaces())
    .flat()
    .filter((one) => one !== undefined && !one.internal && !one.address.startsWith('fe80'))
    .filter((one) => HOST === '::' || one?.family === 'IPv4')
  for (const one of outside) {
    const url = `http://${one?.family === 'IPv6' ? `[${one.address}]` : one?.address}:${port}`
    t.match(system.output(), `  ${url}  (`, 'it is printed')
    t.equal((await fetch(`${url}/docs`)).status, 200, url)
  }
  if (outside.length === 0) t.match(system.output(), /no address on a network now/)
  t.match(system.output(), new RegExp(`curl -s -X POST ${gateway}/v1/auth/signup`))
  t.match(system.output(), /^not passed on from the environment: OPS_PORT \(.*\), ADVERTISE_URL \(.*\)$/m)
  t.match(await runCli(['status'], { SKERRY_HOME: system.home }), { code: 0, out: `gateway: ${gateway}\n` })
}
