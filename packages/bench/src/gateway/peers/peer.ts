/** How a server that is not ours is found and run in front of one upstream, as a plain proxy with one worker and no access log. */
export type Peer = {
  readonly label: string
  /** Its program on PATH. */
  readonly program: string
  /** The Python package that brings it, where there is one. */
  readonly python?: string
  readonly install: string
  /** What makes it tell its version. */
  readonly versionArgs: string[]
  /** Writes its configuration into `folder`; answers what to start it with. */
  configure(setup: PeerSetup): Promise<{ args: string[]; env?: Record<string, string> }>
}

/** `upstream` is `host:port`; the peer listens on `port` of 127.0.0.1 and may write into `folder`. */
export type PeerSetup = { upstream: string; port: number; folder: string }

/** Idle connections to the upstream that a peer may keep, above the load's own number. */
export const KEPT_CONNECTIONS = 64
