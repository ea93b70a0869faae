import { Modal, Switch, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import type { OperationRequest, SequenceRow } from '../../protocol/messages.ts';
import { isInt64, isPositiveInt32 } from './sequence-input.ts';

interface NumberFieldProps {
  readonly label: string;
  readonly description?: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly wrong?: string | undefined;
  readonly disabled?: boolean;
}

/** 64-bit integers are texts: a number box would round them. */
function NumberField({ label, description, value, onChange, wrong, disabled = false }: NumberFieldProps) {
  return (
    <TextInput
      label={label}
      description={description}
      value={value}
      error={wrong}
      disabled={disabled}
      inputMode="numeric"
      autoComplete="off"
      onChange={event => onChange(event.currentTarget.value.trim())}
    />
  );
}

function wrongInt64(text: string): string | undefined {
  return text === '' || isInt64(text) ? undefined : 'a whole number of 64 bits';
}

function wrongPositive(text: string): string | undefined {
  return text === '' || (isInt64(text) && BigInt(text) > 0n) ? undefined : 'a whole number above 0';
}

interface FormProps {
  readonly title: string;
  readonly usable: boolean;
  readonly onSubmit: () => void;
  readonly onClose: () => void;
  readonly children: React.ReactNode;
}

/** Asks for the input; the dialog that follows shows what it does. */
function Form({ title, usable, onSubmit, onClose, children }: FormProps) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (usable) onSubmit();
  };
  return (
    <Modal opened onClose={onClose} title={title} size="md" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form className="action" onSubmit={submit}>
        {children}
        <div className="buttons">
          <button type="button" className="text-button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="text-button primary" disabled={!usable}>
            Next…
          </button>
        </div>
      </form>
    </Modal>
  );
}

export function CreateSequence({ onClose }: { onClose: (created: string | undefined) => void }) {
  const [name, setName] = useState('');
  const [initialValue, setInitial] = useState('0');
  const [increment, setIncrement] = useState('1');
  const [maxValue, setMax] = useState('');
  const [blockSize, setBlock] = useState('');
  const [request, setRequest] = useState<OperationRequest>();
  const usable =
    name.trim() !== '' &&
    isInt64(initialValue) &&
    isInt64(increment) &&
    BigInt(increment) > 0n &&
    wrongInt64(maxValue) === undefined &&
    (blockSize === '' || isPositiveInt32(blockSize));
  if (request !== undefined) {
    return (
      <ActionDialog
        title={`Create the sequence ${name}?`}
        verb="Create"
        request={request}
        onClose={report => onClose(report?.outcome === 'done' ? name.trim() : undefined)}
      />
    );
  }
  const next = () =>
    setRequest({
      kind: 'create-sequence',
      params: {
        name: name.trim(),
        initialValue,
        increment,
        maxValue: maxValue === '' ? null : maxValue,
        blockSize: blockSize === '' ? null : Number(blockSize),
      },
      expect: {},
    });
  return (
    <Form title="New sequence" usable={usable} onSubmit={next} onClose={() => onClose(undefined)}>
      <TextInput
        label="Name"
        className="mono-input"
        value={name}
        spellCheck={false}
        autoComplete="off"
        data-autofocus
        onChange={event => setName(event.currentTarget.value)}
      />
      <div className="two-columns">
        <NumberField
          label="Initial value"
          description="the first one handed out is this plus the increment"
          value={initialValue}
          onChange={setInitial}
          wrong={wrongInt64(initialValue)}
        />
        <NumberField
          label="Increment"
          description="the step between two values"
          value={increment}
          onChange={setIncrement}
          wrong={wrongPositive(increment)}
        />
        <NumberField label="Maximum" description="empty: none" value={maxValue} onChange={setMax} wrong={wrongInt64(maxValue)} />
        <NumberField
          label="Block"
          description="values per reservation; empty: as the node is set"
          value={blockSize}
          onChange={setBlock}
          wrong={blockSize === '' || isPositiveInt32(blockSize) ? undefined : 'a whole number above 0'}
        />
      </div>
    </Form>
  );
}

interface ChangeProps {
  readonly row: SequenceRow;
  readonly onClose: () => void;
}

export function ReserveValues({ row, onClose }: ChangeProps) {
  const [count, setCount] = useState('1');
  const [request, setRequest] = useState<OperationRequest>();
  if (request !== undefined) {
    return <ActionDialog title={`Reserve values of ${row.name}?`} verb="Reserve" request={request} onClose={onClose} />;
  }
  const next = () =>
    setRequest({
      kind: 'reserve-sequence',
      params: { name: row.name, count: Number(count) },
      expect: { incarnation: row.incarnation },
    });
  return (
    <Form title="Reserve values" usable={isPositiveInt32(count)} onSubmit={next} onClose={onClose}>
      <NumberField
        label="How many"
        description="they are consumed: nobody else gets them, used or not"
        value={count}
        onChange={setCount}
        wrong={isPositiveInt32(count) ? undefined : 'a whole number above 0'}
      />
    </Form>
  );
}

export function UpdateSequence({ row, onClose }: ChangeProps) {
  const [mark, setMark] = useState('');
  const [increment, setIncrement] = useState('');
  const [maxValue, setMax] = useState(row.maxValue ?? '');
  const [noMax, setNoMax] = useState(row.maxValue === null);
  const [request, setRequest] = useState<OperationRequest>();
  if (request !== undefined) {
    return <ActionDialog title={`Update the sequence ${row.name}?`} verb="Update" request={request} onClose={onClose} />;
  }
  const newMax = noMax ? (row.maxValue === null ? undefined : null) : maxValue === (row.maxValue ?? '') ? undefined : maxValue;
  const changes = mark !== '' || increment !== '' || newMax !== undefined;
  const usable =
    changes && wrongInt64(mark) === undefined && wrongPositive(increment) === undefined && (noMax || isInt64(maxValue));
  const next = () =>
    setRequest({
      kind: 'update-sequence',
      params: {
        name: row.name,
        ...(mark === '' ? {} : { currentValue: mark }),
        ...(increment === '' ? {} : { increment }),
        ...(newMax === undefined ? {} : { maxValue: newMax }),
      },
      expect: { incarnation: row.incarnation },
    });
  return (
    <Form title="Update the sequence" usable={usable} onSubmit={next} onClose={onClose}>
      <p className="muted small">What is left empty stays as it is. Every update begins a new incarnation.</p>
      <div className="two-columns">
        <NumberField
          label="Mark"
          description={`now ${row.currentValue}`}
          value={mark}
          onChange={setMark}
          wrong={wrongInt64(mark)}
        />
        <NumberField
          label="Increment"
          description={`now ${row.increment}`}
          value={increment}
          onChange={setIncrement}
          wrong={wrongPositive(increment)}
        />
        <NumberField
          label="Maximum"
          description={row.maxValue === null ? 'now none' : `now ${row.maxValue}`}
          value={noMax ? '' : maxValue}
          onChange={setMax}
          wrong={noMax ? undefined : wrongInt64(maxValue)}
          disabled={noMax}
        />
        <Switch size="xs" mt={26} checked={noMax} onChange={event => setNoMax(event.currentTarget.checked)} label="No maximum" />
      </div>
    </Form>
  );
}
