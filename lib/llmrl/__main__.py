"""python -m llmrl: the course about itself, for people without make and for make itself."""

import argparse
import os
import sys


def doctor(_):
    from llmrl.course import doctor

    return 0 if doctor.report() else 1


def run(options):
    from llmrl.course import execution

    return execution.run(options.patterns, options.jobs, options.check, options.timeout)


def coverage(options):
    from llmrl.course import overview

    if options.write:
        return overview.write_map()
    if options.readme:
        return overview.write_readme()
    return overview.print_states(options.missing)


def progress(_):
    from llmrl.lesson import progress

    print(progress.report())
    return 0


def stamp(_):
    from llmrl.course import places
    from llmrl.course.stamp import stamp

    changed = [places.name(path) for path in places.notebooks() if stamp(path)]
    print("\n".join([*changed, f"{len(changed)} of {len(places.notebooks())} first cells changed"]))
    return 0


def parser():
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m llmrl", description="The course about itself.")
    commands = top.add_subparsers(title="commands", metavar="command", required=True)

    def command(function, text):
        made = commands.add_parser(function.__name__, help=text, description=text)
        made.set_defaults(function=function)
        return made

    command(doctor, "what is installed, what is wrong, and what to do about it")
    runs = command(run, "run notebooks in fresh kernels and refresh their stored outputs")
    runs.add_argument("patterns", nargs="*", help="parts of notebook names, such as 02_sft or 01*/06*; all when none")
    runs.add_argument("--jobs", type=_positive, default=1, help="notebooks at a time (1)")
    runs.add_argument("--check", action="store_true", help="write no notebook, say where outputs differ")
    runs.add_argument("--timeout", type=_positive, default=600, help="seconds a single cell may take (600)")
    covers = command(coverage, "which concepts of the map stand, and in which notebook")
    covers.add_argument("--missing", action="store_true", help="only what does not stand yet")
    covers.add_argument("--write", action="store_true", help="refresh library names and checks in data/curriculum.yaml")
    covers.add_argument("--readme", action="store_true", help="refresh the map of chapters in README.md")
    command(progress, "which exercises you have solved")
    command(stamp, "give every notebook the course's first cell")
    return top


def _positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def main(arguments=None):
    """Run one command; errors a reader can act on are one sentence, others keep their traceback."""
    from llmrl.course.places import NeedsFolder

    options = parser().parse_args(arguments)
    try:
        return options.function(options)
    except BrokenPipeError:  # the reader closed the page, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (NeedsFolder, ValueError, OSError) as error:
        print(f"llmrl: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"llmrl: {error.name} is not installed: `python -m llmrl doctor` says what to do", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nllmrl: stopped. Nothing was left half-written.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
