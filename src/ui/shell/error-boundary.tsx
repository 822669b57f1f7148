/** Keeps the failure of one page from taking the whole shell with it. */
import { Component, type ComponentChildren } from "preact";
import { describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { EmptyState } from "../kit/empty-state.tsx";

export class ErrorBoundary extends Component<{ children?: ComponentChildren }, { error?: unknown }> {
  static override getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override componentDidCatch(error: unknown): void {
    // Where a developer looks for it; nothing else knows of it.
    reportError(error);
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <EmptyState
        title="This page has failed"
        text={describeError(this.state.error)}
        action={<Button onClick={() => this.setState({ error: undefined })}>Try again</Button>}
      />
    );
  }
}
