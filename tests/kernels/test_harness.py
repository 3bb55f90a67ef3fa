async def test_a(kernel):
    r = await kernel.run("import ipykernel, sys; print(ipykernel.__version__, sys.executable); 3")
    print(r, kernel.features, await kernel.subshell())
    print(
        await kernel.run(
            "import time; t=time.monotonic()\nimport anywidget; print(time.monotonic()-t)"
        )
    )
    print(await kernel.shut_down())
    assert 0
