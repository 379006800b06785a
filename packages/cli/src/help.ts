const COMMANDS: Record<string, { line: string; more: string }> = {
  up: {
    line: 'start the stores, all services and the gateway (npm start)',
    more: `skerry up [--demo] [--with APP]

Finds or fetches mongod, nats-server and Redis, starts them, then two instances of each service and the gateway,
and prints where everything is. Ctrl-C stops all of it in order; the next start finds the data again.

  --demo         load the demo data once all is ready
  --with APP     also start an app that is only started on request (conduit); may be repeated

  PORT           the gateway's port (8080; 0 takes a free one)
  SKERRY_HOME    folder for data, binaries, keys and logs (.skerry)
  SKERRY_BIN     folder for fetched store binaries (<home>/bin)
  LOG_LEVEL      level of the services' logs (info)
`
  },
  demo: {
    line: 'load real mails as demo data into the running system (npm run demo)',
    more: `skerry demo [--limit N] [--url URL]

Loads the ham of the Spam Assassin corpus through the public API: senders become users, mails posts, replies comments.
It can be interrupted and run again; what is loaded already is passed over.

  --limit N      only the first N mails
  --url URL      another gateway than the one that runs here
`
  },
  status: {
    line: 'show what runs',
    more: 'skerry status\n\nReads run.json of SKERRY_HOME and says whether each part is ready.\n'
  },
  stop: {
    line: 'stop what runs, as Ctrl-C would',
    more: 'skerry stop\n\nTells the skerry that runs in SKERRY_HOME to end, and waits for it.\n'
  },
  gateway: {
    line: 'run the gateway alone, in front of services of your own',
    more: `skerry gateway --route /PREFIX=URL[*WEIGHT][,URL…] [--route …] [options]

Runs the gateway in the foreground, without NATS and MongoDB: balancing, health, retries, limits and everything else
are on. Ctrl-C stops it in order; SIGHUP has it read its files again.

  --route /feed=http://127.0.0.1:9001,http://127.0.0.1:9002
                       what answers a path and all below it; may be given again. A host name stands for all its
                       addresses and is resolved again every 5 s; https and localhost stay as they are.
                       '/feed=http://a:9001*3,http://b:9001' gives the first three times the weight of the second, and
                       *0.05 makes a canary; quoted, since shells take a * for theirs
  --routes-file FILE   the same from a file, a line each, # begins a comment; taken over when it changes
  --rules FILE         rules of routes: a JSON array of { method, path, auth, timeoutMs, cache, … }; taken over as well
  --port N             8080; 0 takes a free one
  --jwks URL           the keys of whoever issues your tokens. Without it tokens are passed on as they come,
                       everybody counts by address, and rules that say auth "required" are refused
  --issuer, --audience what tokens must say in iss and aud (skerry, skerry)
  --redis URL          where limits are counted for several gateways; without it each counts by itself
  --workers N          so many processes on the port; SIGHUP then replaces them one after the other
  --health PATH        what is asked of each address to see whether it is well, as /healthz

Every other setting of apps/gateway/src/config.ts may be given as a variable of the environment:

  HOST=0.0.0.0         to be reached from elsewhere (127.0.0.1)
  TRUSTED_PROXIES      addresses of proxies in front, whose X-Forwarded-For is believed
  LIMIT_EXEMPT         addresses without limits: 127.0.0.0/8 to measure from this machine
  LOG_LEVEL            info
`
  },
  traffic: {
    line: 'spread the requests for a service over its versions',
    more: `skerry traffic [SERVICE [VERSION=PERCENT …] [--header NAME=VERSION …] [--mirror VERSION[=PERCENT]] [--reset]]

Shows what each version that runs in SKERRY_HOME is to get and did get, and changes it at run time.

  skerry traffic                                    all services
  skerry traffic content 2.1.0=5%                   a canary: 5 % of the users stay with 2.1.0, the others share the rest
  skerry traffic content 2.1.0=0% --header x-tester=2.1.0
                                                    only requests with the header x-tester, or X-Skerry-Version: 2.1.0
  skerry traffic content --mirror 2.2.0=10%         2.2.0 gets copies of a tenth (of all, without =10%) and answers nobody
  skerry traffic content --header none --mirror none
  skerry traffic content --reset                    by instances alone, as without rules

What is given replaces what was said of the same kind (shares, headers, mirror). A version that nobody runs gets nothing,
and who is left alone serves all.

  NATS_URL             a NATS that runs elsewhere, with its administrator's user and password
`
  },
  new: {
    line: 'write a new service, event, route or consumer',
    more: `skerry new service NAME [--entity NAME]
skerry new event SERVICE.ENTITY.WHAT
skerry new route SERVICE NAME METHOD PATH
skerry new consumer SERVICE PURPOSE EVENT…

Writes what runs and is tested: npm test passes as it is. Everything or nothing is written.

  skerry new service notes                     apps/notes keeps notes, each called a note, at /v1/notes; it is
                                               installed, and starts with all others
  skerry new service library --entity book     what it keeps, where the name does not say it
  skerry new event notes.note.pinned           declares NotePinned
  skerry new route notes pinNote PUT /v1/notes/:id/pin
                                               declares and serves it; it answers with what it is given
  skerry new consumer notes people users.profile.created users.profile.updated
                                               keeps the last that these events said of each entity

A service's name is 2 to 30 of the letters a to z. Refused with the reason: names that exist, that are reserved, or whose
prefix or type belongs to somebody else.
`
  },
  events: {
    line: 'look at events, repair what could not be handled, replay, rebuild',
    more: `skerry events ls | tail | lag | dlq | audit | replay | rebuild  [--json] [--by WHO]

Looks at the events of what runs in SKERRY_HOME. What changes something is a request to the service whose consumer it is;
each is on record with who (user@host, or --by), when, what, before and after: skerry events audit.

  skerry events ls                         streams, subjects, counts, sizes, times, consumers
  skerry events tail [--subject content.post] [--entity ID] [--since 15m] [--count N]
                                           events as they come, until Ctrl-C; --since begins in the past
  skerry events lag                        per consumer: pending, unacknowledged, redelivered, dead letters, age of the
                                           oldest event to handle, the instance that works; then the outboxes

  skerry events dlq ls [SERVICE …] [--consumer C] [--after N]
  skerry events dlq show content/12        payload, error, attempts, times, what was tried since
  skerry events dlq retry content/12       to the consumer that failed, and to no other
  skerry events dlq retry content/12 --edit          change the payload in $EDITOR first; it must fit the event's schema
  skerry events dlq retry content/12 --data FILE     the payload from a file, or - for the standard input
  skerry events dlq retry --consumer content--feeds  all of a consumer's, once its service is mended
  skerry events dlq discard content/12     delete it; the payload stays in the record

  skerry events audit [CONSUMER]           what operators did, newest first

  skerry events replay content--people --from 2h        from a time: 15m, 2h, 3d or 2026-11-24T17:54:10Z
  skerry events replay content--people --from 120 --stream users   from a sequence
                                           the consumer applies everything from there again, before what is new.
                                           --force where its service refuses, since it would count or tell twice

  skerry events rebuild realtime--followers             build the read model from zero beside the live one, then switch
      --stay             do not switch: --switch does it later (--force: although there are dead letters)
      --allow-partial    although a stream does not reach back to the beginning
      --status --abort   how far it is; give it up
      --rollback         after the switch: back to the old one, which is still fed
      --finish           after the switch: drop the old one

  --json         a line of JSON for each thing, for programs
  NATS_URL       a NATS that runs elsewhere, with its administrator's user and password
`
  },
  participants: {
    line: 'see whom deletions of accounts wait for, and take off who is gone for good',
    more: `skerry participants ls
skerry participants withdraw NAME

Deletions and exports of accounts wait for every service that has declared that it takes part, also while it does not
run: docs/sagas.md.

  skerry participants ls                   who does, when each last said so, and how many instances run
  skerry participants withdraw conduit     it is gone for good: what waits for it goes on without it, and what it keeps
                                           of people stays there. Refused while it runs; it takes part again once it starts

  NATS_URL       a NATS that runs elsewhere, with its administrator's user and password
`
  },
  subscriber: {
    line: 'print where and as whom others subscribe to events',
    more: `skerry subscriber

Prints SKERRY_URL, NATS_URL, NATS_USER and NATS_PASSWORD of the system that runs in SKERRY_HOME, for a user that may only
listen: eval "$(skerry subscriber)". docs/subscribe-python.md has a subscriber.
`
  },
  test: {
    line: 'check and test every package against real stores (npm test)',
    more: `skerry test [--jobs N] [--faults] [package…] [file…]

Type-checks, lints, holds the boundaries and runs the test files of all packages, or of the packages that are named;
test files that are named run alone, without the checks. Files run side by side, longest first. docs/testing.md

  skerry test auth gateway                     two packages
  skerry test apps/auth/test/login.test.ts     one file

  --jobs N       so many files at once (one for each core)
  --faults       each file in its long version; skerry faults runs these alone, one by one
  --weights      after a whole run: write how long files took into the table that a fresh clone begins with
`
  },
  faults: {
    line: 'run the fault tests in their long version (npm run test:faults)',
    more: `skerry faults [--list] [--resume] [--seed N] [--rounds A-B] [PART…]

Runs the fault tests part by part, each with stores of its own and 30 minutes at most, and shows how far it is and how
long the rest is going to take. What each round came to is kept in SKERRY_HOME/faults. docs/testing-faults.md

  skerry faults --list                          the parts, what each shows, the time that it takes
  skerry faults system-kills gateway-rolling    some of them: system-kills stands for system-kills-1, -2, …
  skerry faults --rounds 7 system-kills         one round alone

  --resume       not what came to its end before, with this commit and this seed
  --seed N       another fate for everything (1)
  --rounds A-B   only these rounds: 7, 2-5 or 1,4-6
`
  },
  repeat: {
    line: 'run the tests again and again, and tell what differs (npm run test:repeat)',
    more: `skerry repeat [--runs N] [--hog | --hog-runs N] [--slow-fsync] [--package NAME] [--file PATH] [--seed N] [options]

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
  --jobs N       so many files at once (one for each core)
  --faults       with the long fault tests
`
  },
  contracts: {
    line: 'compare events and routes with what was released, and release them',
    more: `skerry contracts check [--released]
skerry contracts release [--retire CONTRACT …]

check says what of the declared contracts differs from the golden files in packages/contracts/released: what is new,
what is additive, and what would break somebody, who that is and the way out. It fails for breaking changes.

  --released           fail as well when something is not released yet

release rewrites the golden files. It refuses breaking changes, and then writes nothing.

  --retire content.post.created.v1
  --retire 'GET /v1/posts/:id'
                       end a contract that is not declared any more and that nobody uses; may be given again
`
  },
  bench: {
    line: 'measure (npm run bench)',
    more: `skerry bench [system|gateway|events]

  system    start, memory and routes of a system of its own, under load
  gateway   the gateway beside other proxies; its options: skerry bench gateway --help
  events    events through outbox, stream and inbox, beside the same without outbox and inbox
`
  },
  version: { line: 'print the version', more: 'skerry version\n' }
}

export const HELP = `Skerry: a mobile backend that teams run as independent services.

Usage: skerry <command>

${Object.entries(COMMANDS)
  .map(([name, { line }]) => `  ${name.padEnd(12)} ${line}`)
  .join('\n')}

More on one: skerry help <command>
`

/** The help of one command, or of all when there is none of that name. */
export function helpOf(name: string): string {
  return COMMANDS[name]?.more ?? HELP
}
