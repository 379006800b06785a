import { findInPython, findOnPath, versionOf } from '../find.ts'
import { CADDY } from './caddy.ts'
import { ENVOY } from './envoy.ts'
import { HAPROXY } from './haproxy.ts'
import { NGINX } from './nginx.ts'
import type { Peer } from './peer.ts'
import { TRAEFIK } from './traefik.ts'

/** The servers that are measured beside ours where they are installed. */
export const PEERS = { nginx: NGINX, haproxy: HAPROXY, envoy: ENVOY, traefik: TRAEFIK, caddy: CADDY } satisfies Record<
  string,
  Peer
>
export type PeerId = keyof typeof PEERS

/** Where a peer's program lies and its version, or undefined when it is not installed. */
export async function findPeer(peer: Peer): Promise<{ binary: string; version: string } | undefined> {
  const binary =
    findOnPath(peer.program) ?? (peer.python === undefined ? undefined : await findInPython(peer.python, peer.program))
  return binary === undefined ? undefined : { binary, version: await versionOf(binary, peer.versionArgs) }
}
