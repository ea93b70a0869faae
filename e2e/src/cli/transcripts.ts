import type { Transcript } from './transcript.ts';

/** The transcripts of cli §6, by their ids there. Those that continue one another are one; what belongs to later releases is not here. */
export const TRANSCRIPTS: readonly Transcript[] = [
  {
    id: 'T01',
    title: 'cli:T02 cli:T03 cli:T04 set with nx, xx, without and with expiry',
    names: ['my-config'],
    given: `set my-config "0"
set my-config "1"
set my-config "2"
delete my-config`,
    text: `
kahuna-cli> set \`my-config\` "my-value" nx
r3 set <ms>ms
kahuna-cli> set \`my-config\` "my-value" xx
r4 set <ms>ms
kahuna-cli> set \`my-config\` "my-value"
r5 set <ms>ms
kahuna-cli> set \`my-config\` "my-value" ex 10000
r6 set <ms>ms
`,
  },
  {
    id: 'T05',
    title: 'cli:T06 a single set, then one with expiry',
    names: ['my-config'],
    given: `set my-config "0"
set my-config "1"
set my-config "2"`,
    text: `
~> kahuna-cli --set my-config --value my-value
r3 set <ms>ms
~> kahuna-cli --set my-config --value my-value --expires 30000
r4 set <ms>ms
`,
  },
  {
    id: 'T07',
    title: 'compare value and swap',
    names: ['my-config'],
    given: `set my-config "0"
set my-config "1"`,
    text: `
kahuna-cli> set \`my-config\` "current-value"
r2 set <ms>ms
kahuna-cli> set \`my-config\` "my-value" cmp "current-value"
r3 set <ms>ms
kahuna-cli> set \`my-config\` "my-value" cmp "current-value"
r3 not set <ms>ms
`,
  },
  {
    id: 'T08',
    title: 'compare revision and swap',
    names: ['my-config'],
    given: `set my-config "0"
set my-config "1"
set my-config "2"
set my-config "3"`,
    text: `
kahuna-cli> set \`my-config\` "my-value"
r4 set <ms>ms
kahuna-cli> set \`my-config\` "my-value" cmprev 4
r5 set <ms>ms
kahuna-cli> set \`my-config\` "other-value" cmprev 4
r5 not set <ms>ms
`,
  },
  {
    id: 'T09',
    title: 'get',
    names: ['my-config'],
    text: `
kahuna-cli> get \`my-config\`
r-1 not found <ms>ms
kahuna-cli> set \`my-config\` "my-value"
r0 set <ms>ms
kahuna-cli> get \`my-config\`
r0 my-value <ms>ms
`,
  },
  {
    id: 'T10',
    title: 'read a revision',
    names: ['my-config'],
    text: `
kahuna-cli> set \`my-config\` "my-value"
r0 set <ms>ms
kahuna-cli> set \`my-config\` "my-value-1"
r1 set <ms>ms
kahuna-cli> set \`my-config\` "my-value-3"
r2 set <ms>ms
kahuna-cli> get \`my-config\` at 0
r0 my-value <ms>ms
kahuna-cli> get \`my-config\` at 1
r1 my-value-1 <ms>ms
`,
  },
  {
    id: 'T11',
    title: 'by prefix',
    names: ['services'],
    text: `
$ kahuna-cli --set services/auth/instance-1 --value node1
r0 set <ms>ms
$ kahuna-cli --set services/auth/instance-2 --value node2
r0 set <ms>ms
$ kahuna-cli --get-by-prefix services/auth
r0 services/auth/instance-1 node1
r0 services/auth/instance-2 node2
`,
  },
  {
    id: 'T12',
    title: 'extend',
    names: ['my-config'],
    text: `
kahuna-cli> set \`my-config\` "my-value" ex 10000
r0 set <ms>ms
kahuna-cli> extend \`my-config\` 30000
r0 extended <ms>ms
`,
  },
  {
    id: 'T13',
    title: 'exists',
    names: ['my-config'],
    text: `
kahuna-cli> exists \`my-config\`
r-1 not found <ms>ms
kahuna-cli> set \`my-config\` "my-value"
r0 set <ms>ms
kahuna-cli> exists \`my-config\`
r0 exists <ms>ms
`,
  },
  {
    id: 'T15',
    title: 'names without back quotes, overwriting',
    names: ['myconfig'],
    text: `
kahuna-cli> set myconfig "my-value"
r0 set <ms>ms
kahuna-cli> get myconfig
r0 my-value <ms>ms
kahuna-cli> set myconfig "my-value-2"
r1 set <ms>ms
kahuna-cli> get myconfig
r1 my-value-2 <ms>ms
kahuna-cli> set myconfig "my-value" ex 30000
r2 set <ms>ms
kahuna-cli> set myconfig "my-value"
r3 set <ms>ms
kahuna-cli> extend myconfig 30000
r3 extended <ms>ms
`,
  },
  {
    id: 'T16',
    title: 'ephemeral',
    names: ['tempconfig'],
    text: `
kahuna-cli> eset tempconfig "my-value"
r0 set <ms>ms
kahuna-cli> eget tempconfig
r0 my-value <ms>ms
kahuna-cli> eexists tempconfig
r0 exists <ms>ms
kahuna-cli> eextend tempconfig 60000
r0 extended <ms>ms
kahuna-cli> edelete tempconfig
r0 deleted <ms>ms
kahuna-cli> eget tempconfig
r0 not found <ms>ms
`,
  },
  {
    id: 'T17',
    title: 'the ephemeral and persistent spaces are separate',
    names: [],
    text: `
kahuna-cli> eset t17_k "e"
r0 set <ms>ms
kahuna-cli> get t17_k
r-1 not found <ms>ms
`,
  },
  {
    id: 'T18',
    title: 'conditional misses on a key never written',
    names: [],
    local: true,
    text: `
kahuna-cli> set t18_c "v" xx
r- not set <ms>ms
kahuna-cli> set t18_c "v" cmp "x"
r- not set <ms>ms
`,
  },
  {
    id: 'T19',
    title: 'nx on an existing key',
    names: [],
    local: true,
    text: `
kahuna-cli> set t19_a "1" nx
r0 set <ms>ms
kahuna-cli> set t19_a "2" nx
r0 not set <ms>ms
`,
  },
  {
    id: 'T20',
    title: 'lock by key',
    names: ['locks'],
    text: `
kahuna-cli> set \`locks/tasks/123\` "node1" ex 10000 nx
r0 set <ms>ms
kahuna-cli> set \`locks/tasks/123\` "completed" cmp "node1"
r1 set <ms>ms
`,
  },
  {
    id: 'T21',
    title: 'compare revision',
    names: ['feature'],
    text: `
kahuna-cli> set \`feature/new-landing\` "off"
r0 set <ms>ms
kahuna-cli> set \`feature/new-landing\` "enabled" cmprev 0
r1 set <ms>ms
kahuna-cli> set \`feature/new-landing\` "disabled" cmprev 0
r1 not set <ms>ms
`,
  },
  {
    id: 'T22',
    title: 'delete keeps the revision',
    names: [],
    text: `
kahuna-cli> set t22_d "x"
r0 set <ms>ms
kahuna-cli> delete t22_d
r0 deleted <ms>ms
kahuna-cli> get t22_d
r0 not found <ms>ms
kahuna-cli> set t22_d "y"
r1 set <ms>ms
kahuna-cli> get t22_d at 0
r0 x <ms>ms
`,
  },
  {
    id: 'T23',
    title: 'delete of a missing key',
    names: ['nothing'],
    local: true,
    text: `
kahuna-cli> delete nothing
r-1 not found <ms>ms
`,
  },
  {
    id: 'T24',
    title: 'bucket read in the shell',
    names: ['services'],
    text: `
kahuna-cli> set \`services/email/instance-3\` '{"ip": "10.1.1.22", "port": 9090}'
r0 set <ms>ms
kahuna-cli> set \`services/email/instance-4\` "b"
r0 set <ms>ms
kahuna-cli> get by bucket \`services/email\`
r0 services/email/instance-3 {"ip": "10.1.1.22", "port": 9090}
r0 services/email/instance-4 b
<ms>ms
`,
  },
  {
    id: 'T25',
    title: 'a bucket with exactly one key prints like a single get',
    names: ['one'],
    text: `
kahuna-cli> set \`one/x\` "v"
r0 set <ms>ms
kahuna-cli> get by bucket \`one\`
r0 v <ms>ms
`,
  },
  {
    id: 'T26',
    title: 'scan',
    names: ['services'],
    given: `set \`services/auth/instance-1\` "node1"
set \`services/auth/instance-2\` "node2"`,
    text: `
$ kahuna-cli --scan-by-prefix services
r0 services/auth/instance-1 node1
r0 services/auth/instance-2 node2
`,
  },
  {
    id: 'T27',
    title: 'an empty bucket prints nothing',
    names: ['nothing'],
    text: `
$ kahuna-cli --get-by-bucket nothing/here
$ echo $?
0
`,
  },
  {
    id: 'T31',
    title: 'empty and null values',
    names: [],
    local: true,
    text: `
kahuna-cli> set t31_e ""
r0 set <ms>ms
kahuna-cli> get t31_e
r0 (empty str) <ms>ms
`,
  },
  {
    id: 'T32',
    title: 'locks in the shell',
    names: ['locks'],
    given: `lock locks/tasks/123 10000
unlock locks/tasks/123`,
    text: `
kahuna-cli> lock locks/tasks/123 10000
f1 acquired <owner>
kahuna-cli> extend-lock locks/tasks/123 60000
f1 extended <owner>
kahuna-cli> get-lock locks/tasks/123
f1 <owner>
kahuna-cli> unlock locks/tasks/123
f1 unlocked
kahuna-cli> unlock locks/tasks/123
not acquired
kahuna-cli> get-lock locks/tasks/123
not found
`,
  },
  {
    id: 'T33',
    title: 'a lock held by someone else',
    names: ['locks'],
    givenOutside: '--lock locks/tasks/123 --expires 600000',
    text: `
kahuna-cli> lock locks/tasks/123 10000
not acquired
`,
  },
  {
    id: 'T34',
    title: 'locks in single-command mode',
    names: ['jobs'],
    text: `
$ kahuna-cli --lock jobs/email --expires 300000
f0 acquired <owner>
$ kahuna-cli --lock jobs/email --expires 300000
f0 not acquired <owner-of-this-call>
$ kahuna-cli --extend-lock jobs/email --owner <owner> --expires 300000
f0 extended
$ kahuna-cli --extend-lock jobs/email --owner other --expires 300000
f0 not extended
$ kahuna-cli --get-lock jobs/email
f0 <owner>
$ kahuna-cli --unlock jobs/email --owner other
not unlocked
$ kahuna-cli --unlock jobs/email --owner <owner>
unlocked
$ kahuna-cli --get-lock jobs/email
not found
$ kahuna-cli --lock jobs/email --expires 300000
f1 acquired <owner-of-this-call>
`,
  },
  {
    id: 'T35',
    title: 'sequences in the shell',
    names: ['orders'],
    text: `
kahuna-cli> create-sequence orders 0 1
r0 created orders current 0 increment 1 max -
kahuna-cli> next-sequence orders create-1001
r1 next orders 1
kahuna-cli> next-sequence orders create-1001
r1 next orders 1
kahuna-cli> reserve-sequence orders 5 worker-a-batch-1
r2 reserved orders 2..6 count 5
kahuna-cli> get-sequence orders
r2 get orders current 6 increment 1 max -
kahuna-cli> delete-sequence orders
deleted
kahuna-cli> delete-sequence orders
not found
kahuna-cli> get-sequence orders
not found
`,
  },
  {
    id: 'T36',
    title: 'sequences in single-command mode',
    names: ['invoices'],
    text: `
$ kahuna-cli --create-sequence invoices --initial-value 100 --increment 10 --max-value 1000
r0 created invoices current 100 increment 10 max 1000
$ kahuna-cli --next-sequence invoices --idempotency-key request-123
r1 next invoices 110
$ kahuna-cli --reserve-sequence invoices --count 3 --idempotency-key batch-456
r2 reserved invoices 120..140 count 3
`,
  },
  {
    id: 'T37',
    title: 'usage lines',
    names: [],
    local: true,
    text: `
kahuna-cli> create-sequence
usage: create-sequence <name> [initial-value] [increment] [max-value]
kahuna-cli> reserve-sequence orders
usage: reserve-sequence <name> <count> [idempotency-key]
kahuna-cli> cluster leave
usage: cluster leave <node-endpoint>
`,
  },
  {
    id: 'T38',
    title: 'run a file',
    names: ['greeting'],
    local: true,
    files: { 'hello.kl': 'set greeting "hi"\n' },
    text: `
kahuna-cli> run missing.kl
File does not exist
kahuna-cli> run hello.kl
set greeting "hi"
r0 set <ms>ms
`,
  },
  {
    id: 'T39',
    title: 'JSON',
    names: ['my-config', 'services', 'jobs', 'orders'],
    given: `set services/auth/instance-1 "node1"
set services/auth/instance-2 "node2"`,
    text: `
$ kahuna-cli --set my-config --value my-value --format json
{"Key":"my-config","success":true,"revision":0,"value":"my-value","durability":"Persistent"}
$ kahuna-cli --get my-config --format json
{"Key":"my-config","success":true,"revision":0,"value":"my-value","durability":"Persistent"}
$ kahuna-cli --get none --format json
{"Key":"none","success":false,"revision":-1,"value":null,"durability":"Persistent"}
$ kahuna-cli --get-by-bucket services/auth --format json
[{"key":"services/auth/instance-1","value":"node1","revision":0,"expires":0},{"key":"services/auth/instance-2","value":"node2","revision":0,"expires":0}]
$ kahuna-cli --lock jobs/x --expires 1000 --format json
{"resource":"jobs/x","isAcquired":true,"fencingToken":0,"owner":"<owner>"}
$ kahuna-cli --create-sequence orders --format json
{"name":"orders","currentValue":0,"initialValue":0,"increment":1,"maxValue":null,"revision":0,"durability":1,"createdAt":{"n":<n>,"l":<l>,"c":<c>},"updatedAt":{"n":<n>,"l":<l>,"c":<c>}}
$ kahuna-cli --next-sequence orders --format json
{"name":"orders","start":1,"end":1,"count":1,"revision":1}
$ kahuna-cli --delete-sequence orders --format json
{"name":"orders","deleted":true}
`,
  },
  {
    id: 'T40',
    title: 'a single get',
    names: ['my-config'],
    local: true,
    given: `set my-config "my-value"`,
    text: `
$ kahuna-cli --get my-config
r0 get my-value
$ kahuna-cli --get none
r-1 not get 
`,
  },
  {
    id: 'T41',
    title: 'no server',
    names: [],
    local: true,
    text: `
$ kahuna-cli -c http://127.0.0.1:1 --get x
ConnectionException: Cannot connect to the server. Check that the server is running and the connection settings are correct.
$ echo $?
1
`,
  },
  {
    id: 'T48',
    title: 'leaving the shell with a lock held',
    names: ['jobs'],
    text: `
kahuna-cli> lock jobs/a 60000
f0 acquired <owner>
kahuna-cli> exit
Disposing persistent lock <owner>...
`,
  },
  {
    id: 'T49',
    title: 'piped input',
    names: [],
    local: true,
    text: `
$ printf 'set t49_p "1"\\nget t49_p\\n' | kahuna-cli -c $EP
r0 set <ms>ms
r0 1 <ms>ms
$ echo $?
0
`,
  },
  {
    id: 'T50',
    title: 'an unknown flag',
    names: [],
    local: true,
    text: `
$ kahuna-cli --frobnicate
Option 'frobnicate' is unknown. Try --help.
$ echo $?
1
`,
  },
];
