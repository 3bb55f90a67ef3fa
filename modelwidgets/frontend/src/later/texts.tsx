import * as format from "../format";
import type { ModelInfo } from "../records";
import * as say from "../strings";
import { firstLine } from "./facts";
import { CopyButton, LazyFold, Verbatim } from "./parts";

/** The long texts of a model, folded, each with its first line beside its title. */
export function Texts({ info }: { info: ModelInfo }) {
  const texts: [title: string, text: string][] = [
    [say.system, info.system],
    [say.parametersBlock, info.parameters_text],
    [say.template, info.template],
    [say.modelfile, info.modelfile],
    [say.license, info.license],
  ];
  return (
    <>
      {texts.map(([title, text]) =>
        text.trim() ? (
          <LazyFold key={title} title={<FoldTitle title={title} text={format.name(firstLine(text))} />}>
            {() => (
              <>
                <Verbatim text={text} />
                <CopyButton text={text} label={say.copyWhat(title)}>
                  {say.copy}
                </CopyButton>
              </>
            )}
          </LazyFold>
        ) : (
          <p key={title} class="mw-fold mw-fold-empty">
            <FoldTitle title={title} text={say.empty} />
          </p>
        ),
      )}
    </>
  );
}

/** What is folded, and the gist of it. */
export function FoldTitle({ title, text }: { title: string; text: string }) {
  return (
    <>
      <b>{title}</b> <span class="mw-muted mw-ellipsis">{text}</span>
    </>
  );
}
