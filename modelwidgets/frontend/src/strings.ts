/** Every word on screen, one line each: search here for a text to find its key, and with that its view. */

export const LANGUAGE = "en";

const ordinals = new Intl.PluralRules(LANGUAGE, { type: "ordinal" });
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const SUFFIXES = { zero: "th", one: "st", two: "nd", few: "rd", many: "th", other: "th" };

const integer = (value: number) => whole.format(value);
const models = (count: number) => (count === 1 ? "1 model" : `${integer(count)} models`);

// Whole view
export const manager = "Models";
export const loading = "Asking the kernel…";
export const waiting = "Waiting: a cell is running in the kernel.";
export const waitingLong =
  "Still waiting. If no cell is running, the kernel was stopped: run the cell again.";
export const notLive = "not live";
export const lost = "The kernel was restarted or stopped: run the cell again.";
export const noJupyter =
  "The Jupyter server does not answer; what you see is the last that was known. It is tried again by itself.";
export const noSocket = "there is no connection";
export const startFailed = "It could not start.";
export const pageIsOld = (page: string, kernel: string) =>
  `This page is of modelwidgets ${page}, the kernel runs ${kernel}: reload the page.`;
export const kernelIsOld = (page: string, kernel: string) =>
  `The kernel runs modelwidgets ${kernel}, this page is of ${page}: restart the kernel, then run the cell again.`;
export const loadingPart = "Loading this part of the page…";
export const otherPart =
  "The kernel runs another build of modelwidgets than this page shows: run the cell again.";
export const partRefused = (reason: string) =>
  `This page does not let the rest of the view be loaded (${reason}). ` +
  "Open the notebook elsewhere, or use `modelwidgets` in a terminal.";
export const brokenView = "This part of the page failed to draw. Refresh, or run the cell again.";
export const close = "Close";
export const cancel = "Cancel";
export const tryAgain = "Try again";
export const dismiss = "Dismiss";
export const viewOf = (viewer: string) => `from the ${viewer}`;
export const versionOf = (version: string) => `modelwidgets ${version}`;

// Service
export const running = "Running";
export const stopped = "Stopped";
export const lookingForServer = "Looking for an Ollama server…";
export const ollama = "Ollama";
export const embedded = "Embedded store";
export const server = "Server";
export const starting = "starting";
export const hung = "not answering";
export const unreachable = "nothing answers";
export const foreign = "not Ollama";
export const notStarted = "not started";
export const serviceStopped = "service stopped";
export const noServer = (url: string) => `No Ollama server answers at ${url}.`;
export const serverStarting = (url: string) => `The server at ${url} is starting.`;
export const serverHung = (url: string) => `The server at ${url} accepts connections but does not answer.`;
export const notOllama = (url: string) => `What answers at ${url} is not an Ollama server.`;
export const startIt = "Start it";
export const startingIt = "Starting…";
export const useEmbedded = "Use the embedded store";
export const connectElsewhere = "Connect elsewhere";
export const connect = "Connect";
export const connecting = "Connecting…";
export const address = "Address of an Ollama server";
export const addressExample = "http://192.168.1.20:11434";
export const sampleRegistry = "No way to the real registry: search the catalog for “samples”, which this machine serves.";
export const refresh = "Refresh";
export const asOf = (time: string) => `as of ${time}`;
export const updatedAt = (time: string) => `List of ${time}`;

// Machine
export const gpuFree = (free: string) => `${free} free`;
export const gpuSum = (count: number, name: string) => `${count} × ${name}`;
export const gpus = (count: number) => `${count} GPUs`;
export const noGpu = "No GPU";
export const noGpuBecause = (reason: string) => `No GPU: ${reason}`;
export const gpuUnknown = "memory unknown";
export const ram = "RAM";
export const disk = "Disk";
export const atMost = (size: string) => `at most ${size}`;
export const atMostWhy =
  "Layers that models share are counted more than once, because the store cannot be read from here.";
export const diskFree = (size: string) => `${size} free`;
export const unfinished = (size: string) => `${size} of unfinished downloads`;
export const gpuLine = (name: string, least: string, most: string, now: string) =>
  `Memory used of ${name} in the last 10 minutes: between ${least} and ${most}, ${now} at last`;
export const gpuLineUnknown = (name: string) => `Memory used of ${name} in the last 10 minutes is not known`;
export const diskBar = "What lies on the disk";
export const damaged = (count: number, path: string) =>
  `${count === 1 ? "A model is" : `${count} models are`} damaged, so no server lists ${count === 1 ? "it" : "them"}: ` +
  `${path} cannot be read. Pull the model again, or delete that file.`;
export const asTable = "Table";
export const diskAsTable = "What lies on the disk, as a table";
export const showOnDisk = (name: string, size: string) => `Show ${name}, ${size}`;
export const otherModels = (count: number) => (count === 1 ? "1 more model" : `${count} more models`);
export const sharedBytes = "shared by several models";
export const partialBytes = "unfinished downloads";
export const unusedBytes = "of no model (left over, or of a pull under way)";
export const freeBytes = "free";
export const freeNotToScale = "free (not to scale)";
export const remoteMachine = "Its GPU and free disk cannot be seen from here.";

// Tabs
export const installed = "Installed";
export const catalog = "Catalog";
export const pulls = "Pulls";
export const parts = "Parts of the manager";

// Installed
export const searchInstalled = "Search installed models";
export const clearFilter = "Clear filter";
export const noHits = (query: string) => `Nothing matches “${query}”.`;
export const searchHint =
  "A search takes words, and terms such as `size<8GB`, `params>=7b`, `vision` or `-cloud`. Down in its box lists them all.";
export const shown = (shown: string, all: string) => `${shown} of ${all} shown`;
export const loadingModels = "Reading the list of models…";
export const noListYet = "The list of models appears as soon as a server answers.";
export const noModels = "No models are installed yet.";
export const browseCatalog = "Browse the catalog";
export const name = "Name";
export const parameters = "Parameters";
export const quantization = "Quantization";
export const size = "Size";
export const changed = "Changed";
export const actions = "Actions";
export const sortBy = (title: string) => `Sort by ${title}`;
export const inMemory = "in memory";
export const cloud = "cloud";
export const cloudOf = (host: string) => `runs at ${host}`;
export const deleting = "deleting…";
export const details = "Details";
export const deleteIt = "Delete";
export const pullAgain = "Pull again";
export const pulling = "Starting…";
export const none = "–";

// Fit
export const fit = "Fits";
export const memory = "Memory";
export const fitFull = "full GPU";
export const fitExperts = "experts in RAM";
export const fitExpertsOf = (count: number) => `experts of ${count === 1 ? "1 layer" : `${integer(count)} layers`} in RAM`;
export const fitLayers = (some: number, all: number) => `${integer(some)} of ${integer(all)} layers`;
export const fitPartly = "partly on the GPU";
export const fitCpu = "CPU only";
export const fitNo = "does not fit";
export const fitNeeds = (memory: string, context: string | 0 | null) =>
  context ? `needs ${memory} at a context of ${context} tokens` : `needs ${memory}`;
export const bases = {
  header: "by the header of its file",
  manifest: "by the size of its download",
  catalog: "by the catalog",
  guess: "estimated",
} as const;
export const fitCard = "Will it fit?";
export const fitAsking = "Reading what the model is made of…";
export const fitElsewhere = "unknown: the server is on another machine";
export const fitNoMachine = "unknown: nothing is known of the machine";
export const fitOnGpu = (words: string) => `${words} on the GPU`;
export const fitInAll = (memory: string) => `${memory} in all`;
export const fitBetween = (least: string, most: string) => `between ${least} and ${most}`;
export const fitWorking = "This setting is still being worked out…";
export const fitContext = "Context";
export const fitCache = "KV cache as";
export const fitParallel = "Requests at a time";
export const fitDefault = (text: string) => `${text} (default)`;
export const fitParts = {
  weights: "Weights",
  kv_cache: "KV cache",
  recurrent_state: "Recurrent state",
  compute: "Compute",
  projector: "Projector",
  adapter: "Adapter",
  output: "Output",
  overhead: "Overhead of the program",
  others: "In use by others",
  free: "Free",
  over: "Too much by",
} as const;
export const fitPart = "Part";
export const fitBar = (device: string, parts: string) => `${device}: ${parts}`;
export const fitTotal = (device: string, memory: string) => `${device}, ${memory}`;
export const gib = (count: string) => `${count} GiB`;
export const fitAnyGpu = "GPU";
export const fitTable = "Memory by part and device";
export const fitGpu = (index: number, name: string) => `${index}: ${name}`;
export const fitUsers = (users: string) => `Others now: ${users}.`;
export const fitProgram = (pid: number) => `program ${pid}`;
export const fitUser = (who: string, memory: string) => `${who} ${memory}`;
export const fitHelps = "What would help";
export const fitTryContext = (tokens: string) => `Context of ${tokens}`;
export const fitTryCache = (type: string) => `Cache as ${type}`;
export const fitTryParallel = (count: number) => `${count === 1 ? "1 request" : `${count} requests`} at a time`;
export const fitOutcome = (settings: string, outcome: string) => `${settings}: ${outcome}`;
export const fitPullInstead = (tag: string, size: string) => `Pull ${tag} instead: ${size}`;
export const fitWholeOn = (memory: string, cards: string) => `Whole on ${memory}, such as ${cards}.`;
export const fitCards = (count: number, what: string) => (count > 1 ? `${count} × ${what}` : what);
export const fitCheck = (estimated: string, real: string) => `In memory now: estimated ${estimated}, in fact ${real}.`;
export const fitAgain = "Ask again";
export const fitStops = (name: string, memory: string, gpu: string, ram: string) =>
  `${name} needs about ${memory} of memory and does not fit: this machine has ${gpu}${ram} free.`;
export const fitGpuFree = (memory: string) => `${memory} on GPUs and `;
export const fitRam = (memory: string) => `${memory} of RAM`;
export const confirmPull = (name: string) => `Confirm pulling ${name}`;
export const pullAllTheSame = "Pull all the same";

// Tables
export const columns = "Columns";
export const rows = "Rows";
export const comfortableRows = "Comfortable";
export const compactRows = "Compact";
export const lookOf = (table: string) => `Columns and rows: ${table}`;
export const resetLook = "As at first";
export const mark = (name: string) => `Select ${name}`;
export const markAll = "Select all shown";
export const marked = (count: number) => `${integer(count)} selected`;
export const markedHidden = (count: number) => `(${integer(count)} of them hidden by the filter)`;
export const unmark = "Clear selection";
export const bulk = "What to do with the selected models";
export const inAllBytes = (size: string) => `${size} as listed`;
export const deleteMany = "Delete…";
export const freesMany = (count: number, size: string) => `Deleting ${models(count)} frees ${size} in all.`;
export const freesManyAtMost = (count: number, size: string) =>
  `Deleting ${models(count)} frees at most ${size}; layers that models share are counted more than once.`;
export const unloadsMany = (names: string, many: boolean) =>
  `${names} ${many ? "are" : "is"} in memory now and ${many ? "are" : "is"} unloaded first.`;
export const goneMany = (names: string, many: boolean) =>
  `${names} ${many ? "are" : "is"} not installed any more.`;
export const others = (count: number) => `${integer(count)} more`;
export const toBeDeleted = "To be deleted";
export const confirmDeleteMany = (count: number) => `Confirm deleting ${models(count)}`;
export const confirmMany = (count: number) => `Delete ${models(count)}`;
export const deletedMany = (count: number) => `${models(count)} deleted.`;
export const failedMany = (count: number) => `Not done for ${models(count)}:`;
export const queuedMany = (count: number) => `${models(count)} queued: see Pulls.`;
export const copyNames = "Copy names";
export const copiedNames = (count: number) => `${count === 1 ? "1 name" : `${integer(count)} names`} copied.`;
export const compareHow = (most: number) => `Select 2 to ${most} models to compare.`;
export const pullRecommended = "Pull";
export const toPull = (size: string, unknown: number) =>
  unknown > 0 ? `${size} and ${integer(unknown)} of unknown size` : `${size} by their recommended tags`;
export const download = "Download";
export const tags = "Tags";

// Delete
export const planning = "Working out what deleting frees…";
export const frees = (name: string, size: string) => `Deleting ${name} frees ${size}.`;
export const freesAtMost = (name: string, size: string) =>
  `Deleting ${name} frees at most ${size}; layers that other models use stay.`;
export const stays = (size: string, users: string, many: boolean) =>
  `${size} stays because ${users} ${many ? "use" : "uses"} it.`;
export const unloadsFirst = "It is in memory now and is unloaded first.";
export const deleteName = (name: string) => `Delete ${name}`;
export const deletingName = "Deleting…";
export const stopsPullFirst = "It is being pulled now; that pull is stopped first.";
export const deleteAllTheSame = "Delete all the same";
export const confirmDelete = (name: string) => `Confirm deleting ${name}`;

// Details
export const loadingDetails = "Loading details…";
export const capabilities = "Capabilities";
export const contextLength = "Context length";
export const tokensLong = (count: string) => `${count} tokens`;
export const format = "Format";
export const family = "Family";
export const families = "Families";
export const architecture = "Architecture";
export const embeddingLength = "Embedding length";
export const modified = "Changed";
export const digest = "Digest";
export const copy = "Copy";
export const copied = "Copied";
export const copyDigest = "Copy the full digest";
export const copyName = "Copy name";
export const cannotCopy = "The browser does not allow copying here: select the text instead.";
export const requires = "Needs server version";
export const runsAt = "Runs at";
export const publisher = "Publisher";
export const license = "Licence";
export const system = "System prompt";
export const template = "Template";
export const parametersBlock = "Parameters block";
export const modelfile = "Modelfile";
export const layers = "Layers";
export const layerWhat = "What";
export const modelPage = "Model page";
export const unknown = "unknown";
export const empty = "none";
export const freesIfDeleted = "Deleting frees";
export const gone = "It is neither installed nor in the catalog any more.";
export const bitsPerWeight = "Bits per weight";
export const bits = (bits: string, basis: string) => `${bits} bits per weight (${basis}).`;
export const unknownScheme = "a quantization that is not known here.";
export const projector = "Projector";
export const experts = "Experts";
export const expertsUsed = (used: string, all: string) => `${used} of ${all} used at a time`;
export const sharing = "Shared with";
export const sharedLayers = (count: number) => `${count} shared`;
export const notShared = "no other model";
export const missing = "missing";
export const files = "Files";
export const manifestFile = "manifest";
export const copyWhat = (what: string) => `Copy ${what}`;
export const sameAs = (tags: string) => `= ${tags}`;

// Code
export const useIt = "Use it in code";
export const useItHow = "Ollama client, OpenAI client, LangChain, LlamaIndex, curl";
export const library = "Library";
export const copyCode = (title: string) => `Copy the code for: ${title}`;
export const copyCodeShort = "Copy code";
export const writingCode = "Asking the kernel for the code…";

// What else is like it
export const alike = "What else is like this";
export const alikeHow = "by category and size, from the catalog";
export const nothingAlike = "The catalog has nothing else of these categories.";

// Side by side
export const comparison = "Side by side";
export const comparisonOf = (names: string) => `Side by side: ${names}`;
export const compare = "Compare";
export const fact = "Fact";
export const state = "State";
export const description = "Description";
export const differs = "(differs)";
export const differing = (differing: number, all: number) => `${differing} of ${all} facts differ (≠)`;
export const onlyDiffering = "Only what differs";
export const nothingDiffers = "Nothing that is known of them differs.";
export const leaveOut = (name: string) => `Leave out ${name}`;
export const leaveOutShort = "Leave out";
export const compareWith = "Compare with…";
export const compareWithName = (name: string) => `Compare with ${name}`;
export const compareWhich = "Compare with which model?";
export const noSuchModel = (name: string) => `${name} is neither installed nor in the catalog.`;
export const besideAlready = (name: string) => `${name} is there already.`;

// Catalog
export const loadingCatalog = "Loading the catalog…";
export const searchCatalog = "Search the catalog, or type a model name";
export const all = "All";
export const categories = "Categories";
export const model = "Model";
export const sizes = "Sizes";
export const popularity = "Popularity";
export const updated = "Updated";
export const more = (count: number) => `+${count} more`;
export const sizesMatching = (some: number, all: number) => `${some} of ${all} match`;
export const installedTags = (tags: string) => `installed ${tags}`;
export const installedMark = "Installed";
export const installedAs = (name: string) => `Installed as ${name}`;
export const recommended = "Recommended";
export const about = (size: string) => `about ${size}`;
export const yours = "yours";
export const unchecked =
  "Not checked: the registry could not be asked, or does not know it. It is asked again now and then.";
export const tag = "Tag";
export const context = "Context";
export const pull = "Pull";
export const pullAnyway = "Pull anyway";
export const resume = "Resume";
export const emptyCategory = (category: string) => `The catalog has nothing under “${category}”.`;
export const emptyCatalog = "The catalog is empty.";
export const lookUp = (name: string) => `Look up ${name}`;
export const lookingUp = "Asking the registry…";
export const notInCatalog = (name: string) => `${name} is not in the catalog.`;
export const planTotal = (size: string) => `${size} in all`;
export const planPresent = (size: string) => `${size} already here`;
export const planPartial = (size: string) => `${size} kept from an unfinished download`;
export const planFetch = (size: string) => `${size} to fetch`;
export const planFree = (size: string) => `${size} free on disk`;
export const planClaimed = (size: string) => `${size} of that claimed by other pulls`;
export const planUnknown = "Its size is unknown.";
export const catalogOf = (date: string) => `Catalog of ${date}`;
export const refreshCatalog = "Refresh catalog";
export const refreshing = "Refreshing…";
export const problems = (count: number) =>
  (count === 1 ? "1 entry was left out" : `${count} entries were left out`);
export const addEntry = "Add to my catalog";
export const entryName = "Model name";
export const entryNameExample = "hf.co/org/repo:Q4_K_M";
export const entryNameHelp =
  "As you would pull it: user/model:tag, or a GGUF repository as hf.co/org/repo:quant.";
export const entryDescription = "Description";
export const entryDescriptionExample = "What it is good for";
export const entryDescriptionHelp = "One line, yours to find it by.";
export const entryCategory = "Category";
export const entryCategoryHelp = "The button that shows it.";
export const add = "Add";
export const adding = "Adding…";
export const added = (name: string) => `${name} was added.`;
export const addedUnchecked = (name: string) =>
  `${name} was added, not checked: the registry cannot be reached. That is tried again.`;
export const showName = (name: string) => `Show ${name}`;
export const checkAgain = "Check again";
export const editEntry = "Edit";
export const save = "Save";
export const saving = "Saving…";
export const confirmRemove = (name: string) => `Confirm removing ${name}`;
export const removes = (name: string) =>
  `Removing ${name} takes it off your catalog. No model is deleted: what is installed stays.`;
export const removeName = (name: string) => `Remove ${name}`;
export const removeEntry = "Remove from my catalog";
export const removing = "Removing…";

// Pulls
export const elsewhere = (owner: string) => `in ${owner}`;
export const noPulls = "No pulls yet. What you pull shows its progress here.";
export const pullGone = "This pull has ended and is no longer listed.";
export const progressOf = (name: string) => `Pull of ${name}`;
export const queued = "Waiting";
export const inLine = (position: number) =>
  `Waiting, ${position}${SUFFIXES[ordinals.select(position)]} in line`;
export const checking = "Checking the disk";
export const manifest = "Reading the manifest";
export const downloading = "Downloading";
export const stalled = "No bytes are arriving";
export const retrying = "The server tries again";
export const verifying = "Verifying";
export const writing = "Writing";
export const done = "Done";
export const failed = "Failed";
export const stoppedPull = "Stopped";
export const interrupted = "Interrupted";
export const at = (state: string, percent: string) => `${state} at ${percent}`;
export const soFar = (size: string) => `${size} so far`;
export const left = (time: string) => `${time} left`;
export const stop = "Stop";
export const stopping = "Stopping…";
export const stopsLater = "stops when the running cell ends";
export const retry = "Retry";
export const totals = (running: number, waiting: number) => `${running} running, ${waiting} waiting`;
export const bytesLeft = (size: string) => `${size} left`;
export const inAll = (time: string) => `about ${time} in all`;
export const showAllPulls = (count: number) => `${count} more in Pulls`;

// Notices
export const notices = "Notices";
export const moreNotices = (count: number) => `Show ${count} more`;
export const success = "Done";
export const info = "Note";
export const warning = "Warning";
export const error = "Error";

// Said to screen readers
export const pullSays = (name: string, phase: string) => `${name}: ${phase}`;

// Search; `modelwidgets/query.py` and `query_lexer.py` say the same
export const notKnown = (what: string, count: number) =>
  count === 1
    ? `Not known for 1 model: ${what}. It is left out.`
    : `Not known for ${count} models: ${what}. They are left out.`;
export const useInstead = (text: string) => `Use ${text}`;
export const removeIt = "Take it away";
export const suggestions = "Suggestions";
export const suggested = (count: number) => (count === 1 ? "1 suggestion" : `${count} suggestions`);
export const searchExample = (label: string) => `${label}: words, size<8GB, vision…`;
export const clearSearch = "Clear the search";
export const matches = "matches";
export const searchWords = {
  "size:": "on disk: 8GB, 500MB",
  "params:": "parameters: 7b, 500m",
  "ctx:": "context length: 128k",
  "quant:": "q4, q8_0",
  "family:": "llama, qwen3",
  "updated:": "a date: 2026, 2026-01",
  "age:": "since the change: 30d",
  "name:": "full name",
  "tag:": "after the colon: 8b",
  "publisher:": "who made it",
  "license:": "apache, mit",
  "category:": "code, chat",
  "capability:": "tools, vision",
  "type:": "llm or embedding",
  "pulls:": "popularity: 1m",
  installed: "is on this disk",
  running: "is in memory",
  fits: "fits into memory",
  recommended: "the tag to take",
  yours: "your own entry",
  cloud: "runs elsewhere",
  completion: "writes text",
  tools: "calls functions",
  thinking: "reasons first",
  vision: "sees pictures",
  audio: "hears",
  embedding: "for search",
  insert: "fills gaps in code",
  AND: "both",
  OR: "one of both",
  NOT: "the opposite",
} as Readonly<Record<string, string>>;
export const lastResult = "The table goes by what could be read before.";
export const tooLong = (most: number) => `A search has at most ${most} characters.`;
export const tooManyTerms = (most: number) => `A search has at most ${most} terms.`;
export const shortenIt = "Shorten it.";
export const tooDeep = (most: number) => `Parentheses and NOT may be nested ${most} deep at most.`;
export const writeSimpler = "Write it in a simpler way.";
export const quoteOpen = "This quote is not closed.";
export const closeQuote = 'Write `"` at its end.';
export const emptyQuotes = "There is nothing between these quotes.";
export const writeText = "Write a text there.";
export const emptyParentheses = "There is nothing between these parentheses.";
export const writeTerm = "Write a term there.";
export const parenthesisOpen = "This `(` is not closed.";
export const closeParenthesis = "Write `)` after its terms.";
export const parenthesisClosed = "This `)` has no `(` before it.";
export const takeAway = "Take it away, or put it in quotes.";
export const needsTerm = (sign: string) => `\`${sign}\` needs a term after it.`;
export const needsBoth = (sign: string) => `\`${sign}\` needs a term on both sides.`;
export const writeOne = "Write one, or put it in quotes to look for the text.";
export const noKey = (word: string) => `There is no key \`${word}\`.`;
export const keysAre = (keys: string) => `The keys are ${keys}.`;
export const quoteIt = (word: string) => `Put it in quotes to look for the text: \`"${word}"\`.`;
export const didYouMean = (meant: string) => `Did you mean \`${meant}\`?`;
export const needsKey = (sign: string) => `\`${sign}\` needs a key before it.`;
export const writeKey = "Write it like `size<8GB`; put a text that has such a sign in quotes.";
export const needsValue = (term: string) => `\`${term}\` needs a value.`;
export const writeItLike = (example: string) => `Write it like \`${example}\`.`;
export const noOperator = (op: string) => `There is no operator \`${op}\`.`;
export const writeNot = (key: string) => `Write \`-${key}=\` with the value, or NOT before the term.`;
export const writeEquals = "Write `=`.";
export const textKey = (key: string, op: string) => `\`${key}\` is a text, which \`${op}\` cannot compare.`;
export const textOperators = (key: string) =>
  `Write \`${key}:\` for a part of it, \`${key}=\` for the whole.`;
export const noSuch = (key: string, value: string) => `There is no ${key} \`${value}\`.`;
export const useOneOf = (values: string) => `Use one of ${values}.`;
export const noValue = (text: string, what: string) => `\`${text}\` is no ${what}.`;
export const aValue = {
  size: "size",
  parameters: "number of parameters",
  tokens: "number of tokens",
  count: "number of pulls",
  date: "date",
  age: "age",
};
export const writeValue = {
  size: "Write it like `8GB`, `500MB` or `7.5GiB`.",
  parameters: "Write it like `7b` or `500m`.",
  tokens: "Write it like `128k`, `1m` or `8192`.",
  count: "Write it like `100k`, `1.5m` or `20000`.",
  date: "Write it like `2026`, `2026-01` or `2026-01-15`; for the last 30 days write `age<30d`.",
  age: "Write it like `12h`, `30d`, `6w` or `2y`.",
};

// Status bar
export const shortOpening = "Models: …";
export const shortService = (state: string) => `Models: ${state}`;
export const shortPulling = (percent: string) => `Models: pulling ${percent}`.trimEnd();
export const shortRunning = (count: number) => models(count);
