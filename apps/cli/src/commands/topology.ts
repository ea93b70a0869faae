import { NotInThisRelease } from '../failures.ts';
import type { Options } from '../options/flags.ts';
import { table } from '../output/table.ts';
import type { NodeCall, PrepareNodeCall } from './command.ts';
import { checkLeave, checkReplicationFactor, checkSplit } from './node-flags.ts';
import type { NodeAnswer, NodeDocument } from './rest-calls.ts';

/** Members, replicas and ranges, as nodes tell them and change them over REST (cli §3.1, §3.2). Where nodes refuse, so does the exit code. */

const reasonOf = ({ body }: NodeAnswer): string => text(body.reason) || 'no reason reported';
const statusOf = ({ body }: NodeAnswer): string => text(body.status) || 'Unknown';

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function list(value: unknown): readonly NodeDocument[] {
  return Array.isArray(value) ? value : [];
}

export const leaveCluster: PrepareNodeCall = options => {
  checkLeave(options);
  return async call => {
    const answer = await call.nodes.any('POST', '/v1/cluster/leave');
    const { left, drained, retryable, outcome, membershipVersion } = answer.body;
    if (!call.json) {
      await call.output.line(`Node ${answer.endpoint}  Outcome ${text(outcome)}  Membership version ${text(membershipVersion)}`);
      await call.output.line(reasonOf(answer));
      const remark = left === true ? LEFT[drained === true ? 'drained' : 'bare'] : retryable === true ? STILL_THERE : undefined;
      if (remark !== undefined) await call.output.line(remark);
      await call.output.line('');
    } else await call.output.line(answer.text);
    return left === true;
  };
};

const LEFT = {
  drained: 'Replicas were evacuated onto surviving nodes before the removal committed.',
  bare: 'No replicas were evacuated: either no range was placed on this node, or its ranges are now short a replica until placement repairs them.',
} as const;
const STILL_THERE = 'The node is still in the roster; re-check membership before stopping it.';

export const showPlacement: PrepareNodeCall = () => async call => {
  const answer = await call.nodes.any('GET', '/v1/cluster/placement');
  if (call.json) {
    await call.output.line(answer.text);
    return true;
  }
  const { replicationFactor, rebalancerEnabled, localEndpoint, hostedPartitionCount } = answer.body;
  const partitions = list(answer.body.partitions);
  const kind = replicationFactor === 0 ? 'full replication' : 'per-partition placement';
  const head = [
    `Replication factor ${text(replicationFactor)} (${kind})`,
    `Rebalancer ${rebalancerEnabled === true ? 'enabled' : 'disabled'}`,
    `Node ${text(localEndpoint)} hosts ${text(hostedPartitionCount)} of ${partitions.length} partitions`,
  ];
  await call.output.line(`${head.join('  ')}\n`);
  const rows = partitions.map(partition => [
    text(partition.partitionId),
    text(partition.state),
    text(partition.generation),
    text(partition.effectiveReplicationFactor),
    partition.hostedLocally === true ? 'yes' : 'no',
    replicasOf(partition.replicas),
  ]);
  await lines(call, table(['Partition', 'State', 'Generation', 'Effective RF', 'Hosted here', 'Replicas'], rows));
  await call.output.line('');
  return true;
};

function replicasOf(replicas: unknown): string {
  const named = list(replicas).map(({ endpoint, role }) => `${text(endpoint)} (${text(role)})`);
  return named.length === 0 ? 'all voters (full replication)' : named.join(', ');
}

export const setReplicationFactor: PrepareNodeCall = options => {
  checkReplicationFactor(options);
  const { 'set-replication-factor': replicationFactor = 0, partition: partitionId = 0 } = options;
  return async call => {
    const ask = (endpoint: string): Promise<NodeAnswer> =>
      call.nodes.ask(endpoint, 'POST', '/v1/cluster/replication-factor', { partitionId, replicationFactor });
    const answer = await walk(call, ask, ({ body }) => body.success === true);
    const done = answer.body.success === true;
    if (call.json) await call.output.line(answer.text);
    else if (!done) await call.output.line(`Refused: status ${statusOf(answer)} — ${reasonOf(answer)}`);
    else {
      const cleared = replicationFactor === 0 ? ' (cleared; inherits the global factor)' : '';
      const generation = text(answer.body.generation);
      await call.output.line(
        `Committed: partition ${partitionId} replication factor override set to ${replicationFactor}${cleared} (generation ${generation}).`,
      );
      await call.output.line('The rebalancer moves replicas toward the new target on later passes.');
    }
    return done;
  };
};

export const showRanges: PrepareNodeCall =
  ({ 'key-space': keySpace }) =>
  async call => {
    const query = keySpace === undefined ? '' : `?keySpace=${encodeURIComponent(keySpace)}`;
    const answer = await call.nodes.any('GET', `/v1/ranges${query}`);
    if (call.json) {
      await call.output.line(answer.text);
      return true;
    }
    const { localEndpoint, initialized } = answer.body;
    const spaces = list(answer.body.keySpaces).filter(space => space.routingMode === 'KeyRange');
    const state = initialized === true ? 'initialized' : 'not initialized (the map may be incomplete)';
    await call.output.line(`Node ${text(localEndpoint)} ${state}  ${spaces.length} key space(s)\n`);
    if (spaces.length === 0) await call.output.line('No key space is key-range routed on this node.\n');
    for (const space of spaces) {
      await call.output.line(`${text(space.keySpace)}  routed by KeyRange on this node`);
      const descriptors = list(space.descriptors);
      if (descriptors.length === 0) {
        await call.output.line('  registered but not seeded — no descriptor covers this space, so writes to it fail.\n');
        continue;
      }
      const rows = descriptors.map(range => [
        range.startKey === null ? '-inf' : text(range.startKey),
        range.endKey === null ? '+inf' : text(range.endKey),
        text(range.partitionId),
        text(range.generation),
      ]);
      await lines(call, table(['Start key', 'End key', 'Partition', 'Generation'], rows));
      await call.output.line('');
    }
    return true;
  };

export const registerRange: PrepareNodeCall = options => async call => {
  const keySpace = options['register-key-range'] ?? '';
  const answers = await everywhere(call, '/v1/ranges/register', { keySpace }, answer => {
    const { seeded, routingMode, descriptorCount } = answer.body;
    const found = `(routing ${text(routingMode)}, ${text(descriptorCount)} descriptor(s))`;
    return seeded === true
      ? `Seeded: ${answer.endpoint} — this call committed the whole-space descriptor ${found}`
      : `Registered: ${answer.endpoint} — a descriptor already existed ${found}`;
  });
  const done = answers.every(isSuccess);
  if (call.json) return done;
  if (!done) {
    await call.output.line(
      '\nSome nodes did not register the key space. Until every node knows it, some nodes may still hash this space; repeat the command.',
    );
  } else if (call.nodes.named !== undefined && (await someHash(call, keySpace))) {
    const only = `Only ${call.nodes.named} was registered.`;
    await call.output.line(`\n${only} Repeat this on every node, or the cluster is left half-configured.`);
  }
  return done;
};

/** Another node that is listed still hashes the space. */
async function someHash(call: NodeCall, keySpace: string): Promise<boolean> {
  const { nodes } = call;
  for (const endpoint of nodes.endpoints.filter(other => other !== nodes.named)) {
    const answer = await nodes.ask(endpoint, 'GET', `/v1/ranges?keySpace=${encodeURIComponent(keySpace)}`);
    if (list(answer.body.keySpaces).some(space => space.routingMode === 'Hash')) return true;
  }
  return false;
}

export const unregisterRange: PrepareNodeCall = options => async call => {
  const keySpace = options['unregister-key-range'] ?? '';
  const told = (answer: NodeAnswer): string =>
    `Removed: ${answer.endpoint} — ${text(answer.body.descriptorCount)} descriptor(s) remain`;
  return (await everywhere(call, '/v1/ranges/unregister', { keySpace }, told)).every(isSuccess);
};

export const splitRange: PrepareNodeCall = options => {
  checkSplit(options);
  const { 'split-range': keySpace = '', 'split-key': splitKey = '' } = options;
  return async call => {
    const answer = await onLeader(call, '/v1/ranges/split', { keySpace, splitKey });
    const done = isSuccess(answer);
    if (call.json) await call.output.line(answer.text);
    else if (done) {
      const { newPartitionId, newGeneration } = answer.body;
      await call.output.line(
        `Split: ${keySpace} at ${splitKey} — the upper half is now served by partition ${text(newPartitionId)} at generation ${text(newGeneration)}.`,
      );
      await call.output.line(`Read the result back with --ranges --key-space ${keySpace}.`);
    } else {
      const doubt = `This outcome is indeterminate — the split may still land. Re-read --ranges --key-space ${keySpace} before deciding what happened.`;
      await refusal(call, answer, 'Not split', doubt);
    }
    return done;
  };
};

export const mergeRanges: PrepareNodeCall = () => async call => {
  const answer = await onLeader(call, '/v1/ranges/merge', {});
  const done = isSuccess(answer);
  const merges = Number(answer.body.merges);
  if (call.json) await call.output.line(answer.text);
  else if (done && merges > 0) await call.output.line(`Merge pass complete: folded ${merges} adjacent pair(s).`);
  else if (done) await call.output.line('Merge pass complete: no adjacent ranges were small enough to fold.');
  else {
    const doubt = 'This outcome is indeterminate — merges already committed stay committed. Re-read --ranges.';
    await refusal(call, answer, 'No merge pass ran', doubt);
  }
  return done;
};

const isSuccess = ({ body }: NodeAnswer): boolean => body.success === true;

async function refusal(call: NodeCall, answer: NodeAnswer, what: string, doubt: string): Promise<void> {
  await call.output.line(`${what}: status ${statusOf(answer)} — ${reasonOf(answer)}`);
  if (answer.body.determinate === false) await call.output.line(doubt);
  const hint = text(answer.body.leaderHint);
  if (hint !== '') await call.output.line(`Try --node ${hint}.`);
}

/** One node after the other until one says what is final; the last answer. */
async function walk(
  { nodes }: NodeCall,
  ask: (endpoint: string) => Promise<NodeAnswer>,
  isFinal: (answer: NodeAnswer) => boolean,
): Promise<NodeAnswer> {
  let answer: NodeAnswer | undefined;
  for (const endpoint of nodes.targets) {
    answer = await ask(endpoint);
    if (isFinal(answer)) break;
  }
  if (answer === undefined) throw new Error('a command is for at least one node');
  return answer;
}

function onLeader(call: NodeCall, path: string, body: object): Promise<NodeAnswer> {
  const ask = (endpoint: string): Promise<NodeAnswer> => call.nodes.ask(endpoint, 'POST', path, body);
  return walk(call, ask, answer => isSuccess(answer) || !['NotLeader', 'Unreachable'].includes(statusOf(answer)));
}

/** Every target, one line each. */
async function everywhere(
  call: NodeCall,
  path: string,
  body: object,
  told: (answer: NodeAnswer) => string,
): Promise<readonly NodeAnswer[]> {
  const answers: NodeAnswer[] = [];
  for (const endpoint of call.nodes.targets) {
    const answer = await call.nodes.ask(endpoint, 'POST', path, body);
    answers.push(answer);
    const refused = `Refused: ${endpoint} — status ${statusOf(answer)} — ${reasonOf(answer)}`;
    await call.output.line(call.json ? answer.text : isSuccess(answer) ? told(answer) : refused);
  }
  return answers;
}

async function lines({ output }: NodeCall, texts: readonly string[]): Promise<void> {
  for (const line of texts) await output.line(line);
}

/** Commands on backups: a server without them says so; a look at the catalogue finds out, and changes nothing. */
export function backups(check: (options: Options) => void = () => undefined): PrepareNodeCall {
  return options => {
    check(options);
    return async ({ nodes }) => {
      const { httpStatus, body } = await nodes.any('GET', '/v1/backups');
      throw httpStatus === 200 ? new NotInThisRelease('Backups') : new Error(text(body.detail));
    };
  };
}
