"""Headless Chromium, for tests of pages."""

import os
import shutil
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_THERE = BROWSER and DRIVER and find_spec("selenium")
needs_browser = pytest.mark.skipif(not _THERE, reason="no Chromium and chromedriver on PATH, or no selenium")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium():
    """A browser, while the block runs."""
    from selenium import webdriver

    os.environ["SE_OFFLINE"] = "true"  # selenium's manager would ask its maker for drivers
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    chrome.set_script_timeout(30)
    try:
        yield chrome
    finally:
        chrome.quit()


def screen(browser, width, height, dark=False):
    """Gives the browser a screen of a size, and a theme."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
