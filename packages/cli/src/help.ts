const COMMANDS: Record<string, { line: string; more: string }> = {
  up: {
    line: 'start the stores, all services and the gateway (npm start)',
    more: `./skerry up [--demo] [--with APP] [--scale N | --scale SERVICE=N]

Finds or fetches mongod, nats-server and Redis, starts them, then one instance of each service and the gateway,
and prints their addresses. Ctrl-C stops everything in order; the data is kept for the next start.

  --demo         load the demo data when everything is ready
  --with APP     also start an app that is not started by default (conduit); may be repeated
  --scale N      N instances of each service (1); --scale content=3 of one service; may be repeated

  PORT           the gateway's port (8080; 0 picks a free one)
  HOST           where the gateway listens (127.0.0.1): 0.0.0.0 lets a phone on the same network reach it, :: adds IPv6;
                 everything else stays on this machine
  SKERRY_HOME    folder for data, binaries, keys and logs (.skerry)
  SKERRY_BIN     folder for fetched store binaries (<home>/bin)
  LOG_LEVEL      level of the services' logs (info)
  DEFAULT_AUTH   who the gateway lets in where no rule of a service names the path: required, optional (the default) or
                 none, which ignores tokens

Other settings of services are passed on to all of them; those that each has of its own are named and are not.
`
  },
  demo: {
    line: 'load real mails as demo data into the running system (npm run demo)',
    more: `./skerry demo [--limit N | --all] [--url URL]

Loads the ham mails of the Spam Assassin corpus through the public API: senders become users, mails become posts,
replies become comments.
It can be interrupted and run again: mails that are already loaded are skipped.

  --limit N      the first N mails by date (400); a larger number adds to what is loaded
  --all          all of them, about 4,100: takes minutes
  --url URL      the URL of another gateway
`
  },
  status: {
    line: 'show the running processes and whether each is ready',
    more: './skerry status\n\nReads run.json in SKERRY_HOME and shows whether each process is ready.\n'
  },
  stop: {
    line: 'stop the running system, like Ctrl-C',
    more: './skerry stop\n\nStops the system that runs in SKERRY_HOME and waits until it has ended.\n'
  },
  gateway: {
    line: 'run only the gateway, in front of your own services',
    more: `./skerry gateway --route /PREFIX=URL[*WEIGHT][,URL…] [--route …] [options]

Runs the gateway in the foreground, without NATS and MongoDB: load balancing, health checks, retries, rate limits and
everything else work. Ctrl-C stops it in order; SIGHUP reloads its files.

  --route /feed=http://127.0.0.1:9001,http://127.0.0.1:9002
                       the upstreams of a path prefix; may be repeated. A host name stands for all its addresses
                       and is resolved again every 5 s; https and localhost are not resolved here.
                       '/feed=http://a:9001*3,http://b:9001' gives the first three times the weight of the second, and
                       *0.05 makes a canary; quote it, because shells expand *
  --routes-file FILE   the same from a file, one per line, # starts a comment; reloaded when the file changes
  --rules FILE         route rules: a JSON array of { method, path, auth, timeoutMs, cache, … }; reloaded too
  --default-auth WHO   who may come in where no rule names the path: required, optional (the default) or none
  --port N             8080; 0 picks a free one
  --jwks URL           the JWKS of your token issuer. Without it tokens are forwarded unverified, rate limits
                       count by address, and rules with auth "required" are rejected
  --issuer, --audience the required iss and aud of tokens (skerry, skerry)
  --redis URL          counts rate limits for several gateways together; without it each gateway counts alone
  --workers N          number of worker processes on the port; SIGHUP then replaces them one by one
  --health PATH        the path of the active health check of each upstream, such as /healthz

Every other setting in docs/gateway-settings.md can be set as an environment variable:

  HOST=0.0.0.0         accept connections from other machines (127.0.0.1)
  TRUSTED_PROXIES      addresses of proxies in front, whose X-Forwarded-For is trusted
  LIMIT_EXEMPT         addresses without rate limits: 127.0.0.0/8 for load tests from this machine
  LOG_LEVEL            info
`
  },
  traffic: {
    line: 'split the traffic of a service between its versions',
    more: `./skerry traffic [SERVICE [VERSION=PERCENT …] [--header NAME=VERSION …] [--mirror VERSION[=PERCENT]] [--reset]]

Shows the configured and the actual share of traffic of each running version, and changes it at run time.

  ./skerry traffic                                    all services
  ./skerry traffic content 2.1.0=5%                   a canary: 5 % of the users are routed to 2.1.0
  ./skerry traffic content 2.1.0=0% --header x-tester=2.1.0
                                                    only requests with the header x-tester, or X-Skerry-Version: 2.1.0
  ./skerry traffic content --mirror 2.2.0=10%         2.2.0 gets copies of 10 % of the requests (of all, without
                                                    =10%); its responses are discarded
  ./skerry traffic content --header none --mirror none
  ./skerry traffic content --reset                    remove all rules: balance over all instances

A new rule replaces the earlier rule of the same kind (shares, headers, mirror). A version without instances gets no
traffic; the other versions serve its share.

  NATS_URL             the URL of another NATS server, with its administrator's user and password
`
  },
  new: {
    line: 'generate a new service, event, route or consumer',
    more: `./skerry new service NAME [--entity NAME]
./skerry new event SERVICE.ENTITY.WHAT
./skerry new route SERVICE NAME METHOD PATH
./skerry new consumer SERVICE PURPOSE EVENT…

Generates code that runs, with tests that pass. Either all files are written or none.

  ./skerry new service notes                     apps/notes stores notes, each called a note, at /v1/notes; it is
                                               installed, and starts with all other services
  ./skerry new service library --entity book     the entity, if it is not the singular of the name
  ./skerry new event notes.note.pinned           declares NotePinned
  ./skerry new route notes pinNote PUT /v1/notes/:id/pin
                                               declares and serves it; it returns its input
  ./skerry new consumer notes people users.profile.created users.profile.updated
                                               stores the latest state of each entity from these events

A service's name is 2 to 30 of the letters a to z. Rejected with a reason: names that exist, reserved names, and names
whose route prefix or type belongs to another service.
`
  },
  events: {
    line: 'inspect events, repair dead letters, replay, rebuild read models',
    more: `./skerry events ls | tail | lag | dlq | audit | replay | rebuild  [--json] [--by WHO]

Inspects the events of the system that runs in SKERRY_HOME. A change is a request to the service that owns the consumer.
Each change is recorded with its author (user@host, or --by), time, and the state before and after: ./skerry events audit.

  ./skerry events ls                         streams, subjects, counts, sizes, times, consumers
  ./skerry events tail [--subject content.post] [--entity ID] [--since 15m] [--count N]
                                           events as they arrive, until Ctrl-C; --since starts in the past
  ./skerry events lag                        per consumer: pending, unacknowledged, redelivered, dead letters, age of the
                                           oldest pending event, the active instance; then the outboxes

  ./skerry events dlq ls [SERVICE …] [--consumer C] [--after N]
  ./skerry events dlq show content/12        payload, error, attempts, times, retries since then
  ./skerry events dlq retry content/12       redeliver it only to the consumer that failed
  ./skerry events dlq retry content/12 --edit          change the payload in $EDITOR first; it must fit the event's schema
  ./skerry events dlq retry content/12 --data FILE     take the payload from a file, or - for standard input
  ./skerry events dlq retry --consumer content--feeds  all of a consumer's dead letters, when its service is fixed
  ./skerry events dlq discard content/12     delete it; the payload stays in the audit log

  ./skerry events audit [CONSUMER]           changes by operators, newest first

  ./skerry events replay content--people --from 2h        from a time: 15m, 2h, 3d or 2026-11-24T17:54:10Z
  ./skerry events replay content--people --from 120 --stream users   from a sequence
                                           the consumer applies all events from there again, before new ones.
                                           --force if its service refuses because effects would repeat

  ./skerry events rebuild realtime--followers             build the read model from zero beside the live one, then switch
      --stay             do not switch yet; --switch does (--force: even with dead letters)
      --allow-partial    even if a stream no longer has its first events
      --status --abort   show the progress; abort it
      --rollback         after the switch: back to the old one, which is kept up to date
      --finish           after the switch: drop the old one

  --json         one line of JSON per record, for programs
  NATS_URL       the URL of another NATS server, with its administrator's user and password
`
  },
  participants: {
    line: 'list the services that account deletions wait for, and remove one',
    more: `./skerry participants ls
./skerry participants withdraw NAME

Account deletions and exports wait for every registered participant, even while it does not run: docs/sagas.md.

  ./skerry participants ls                   participants, when each last registered, and running instances
  ./skerry participants withdraw conduit     remove a participant: deletions and exports continue without it, and its
                                           personal data is not erased. Rejected while it runs; it registers again when
                                           it starts

  NATS_URL       the URL of another NATS server, with its administrator's user and password
`
  },
  collisions: {
    line: 'list names from before that are one by now',
    more: `./skerry collisions [--json]

Email addresses, usernames and tags are compared in one form: without invisible characters, accents typed either way,
domains as ASCII, tags in lower case. What was stored before may be one name by that and stay apart. This lists it, with the
accounts or some of the posts that carry each; invisible characters are shown as <U+200B>. Nothing is merged.

Accounts whose addresses collide each sign in with what they were made with. To end a collision, one of them changes its
address (PATCH /v1/auth/account) or is deleted; a tag, its posts are edited.

  --json         one collision a line: {"kind","form","carriers":[{"stored","ids"}]}
  NATS_URL       a NATS that runs elsewhere, with its administrator's user and password
`
  },
  subscriber: {
    line: 'print the address and credentials for event subscribers',
    more: `./skerry subscriber

Prints SKERRY_URL, NATS_URL, NATS_USER and NATS_PASSWORD of the system that runs in SKERRY_HOME, for a read-only user:
eval "$(./skerry subscriber)". Subscribers are shown in docs/subscribe-python.md,
docs/subscribe-go.md and docs/subscribe-java.md.
`
  },
  test: {
    line: 'check and test every package against real stores (npm test)',
    more: `./skerry test [--jobs N] [--faults] [package…] [file…]

Type-checks, lints, checks the import boundaries and runs the test files of all packages, or of the packages that are named;
test files that are named run alone, without the checks. Files run side by side, longest first. docs/testing.md

  ./skerry test auth gateway                     two packages
  ./skerry test apps/auth/test/login.test.ts     one file

  --jobs N       so many files at once (two for a core)
  --faults       each file in its long version; ./skerry faults runs these alone, one by one
  --weights      after a whole run: write how long files took into the table that a fresh clone begins with
`
  },
  faults: {
    line: 'run the fault tests in their long version (npm run test:faults)',
    more: `./skerry faults [--list] [--resume] [--seed N] [--rounds A-B] [PART…]

Runs the fault tests part by part, each with stores of its own and 30 minutes at most, and shows how far it is and how
long the rest is going to take. What each round came to is kept in SKERRY_HOME/faults. docs/testing-faults.md

  ./skerry faults --list                          the parts, what each shows, the time that it takes
  ./skerry faults system-kills gateway-rolling    some of them: system-kills stands for system-kills-1, -2, …
  ./skerry faults gateway                         all whose names begin with gateway-
  ./skerry faults --rounds 7 system-kills         one round alone

  --resume       not what came to its end before, with this commit and this seed
  --seed N       another fate for everything (1)
  --rounds A-B   only these rounds: 7, 2-5 or 1,4-6
`
  },
  repeat: {
    line: 'run the tests again and again, and tell what differs (npm run test:repeat)',
    more: `./skerry repeat [--runs N] [--hog | --hog-runs N] [--slow-fsync] [--package NAME] [--file PATH] [--seed N] [options]

Runs all tests, or those of packages and files that are named, again and again with the files in shuffled order. Each run
is recorded in SKERRY_HOME/repeat; a command that was stopped goes on where it was, as long as the sources and the options
are the same. At the end: what failed in any run, and what differed between them, the number of assertions included.

  --runs N       so many runs (10)
  --hog          beside processes that keep every core busy, two for each
  --hog-runs N   only the first N runs beside them: --runs 10 --hog-runs 5
  --slow-fsync   each fsync of the stores takes 20 ms more; needs strace (apt-get install strace)
  --package NAME, --file PATH
                 what to run; may be given again
  --seed N       the order of another series again
  --again        run also what is recorded
  --jobs N       so many files at once (two for a core)
  --faults       with the long fault tests
`
  },
  mutation: {
    line: 'see whether tests notice small changes of the code (npm run test:mutation)',
    more: `./skerry mutation [FOLDER…] [options]

Changes sources in small ways (mutants), one at a time, and runs the tests of the folder that need no servers; prints for
each folder how many of the mutants they killed. Fails below 80 %. StrykerJS is installed on first use (61 MB).

  FOLDER           store, contracts, routing, door, limits, cache; all without one
  --list           only show what was found last
  --survivors      list the mutants that no test noticed
  --fresh          try all again, not only mutants whose source or tests have changed
  --minutes N      stop after so long (120); run again, it goes on
  --concurrency N  processes that try mutants side by side (2)

  SKERRY_HOME      results are in <home>/mutation/results
`
  },
  contracts: {
    line: 'compare events and routes with the released contracts, and release them',
    more: `./skerry contracts check [--released]
./skerry contracts release [--retire CONTRACT …]

check compares the declared contracts with the golden files in packages/contracts/released. It lists new, additive and
breaking changes; for a breaking change also the affected users and the way out. It fails for breaking changes.

  --released           also fail if a change is not released yet

release rewrites the golden files. If there are breaking changes it fails and writes nothing.

  --retire content.post.created.v1
  --retire 'GET /v1/posts/:id'
                       remove the golden file of a contract that is no longer declared or used; may be
                       repeated
`
  },
  bench: {
    line: 'run the benchmarks (npm run bench)',
    more: `./skerry bench [system|gateway|events|figures]

  system    start time, memory and routes of a separate system under load
  gateway   the gateway compared with other proxies; its options: ./skerry bench gateway --help
  events    events through outbox, stream and inbox, compared with the same without outbox and inbox
  figures   write the tables of docs/figures.md and README.md from packages/bench/results; measures nothing
`
  },
  version: { line: 'print the version', more: './skerry version\n' }
}

/** Names of all commands. */
export const commands: readonly string[] = Object.keys(COMMANDS)

export const HELP = `Skerry: a mobile backend made of independent services.

Usage: ./skerry <command>

${Object.entries(COMMANDS)
  .map(([name, { line }]) => `  ${name.padEnd(12)} ${line}`)
  .join('\n')}

More on one: ./skerry help <command>
`

/** The help of one command, or of all when there is none of that name. */
export function helpOf(name: string): string {
  return COMMANDS[name]?.more ?? HELP
}
