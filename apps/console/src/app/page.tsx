import { type ReactNode, useEffect, useRef } from 'react';
import { useConnection } from '../live/use-live.ts';

interface PageProps {
  readonly title: string;
  readonly tools?: ReactNode;
  readonly children: ReactNode;
}

/** One page: its heading takes the focus on navigation, so that a screen reader announces where one is (console §9.1). */
export function Page({ title, tools, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { welcome } = useConnection();
  const cluster = welcome?.clusterName;
  useEffect(() => {
    document.title = [title, cluster, 'Kahuna'].filter(part => part !== undefined).join(' · ');
  }, [title, cluster]);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div className="page">
      <div className="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <span className="space" />
        {tools}
      </div>
      {children}
    </div>
  );
}
